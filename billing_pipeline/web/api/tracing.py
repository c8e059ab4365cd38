"""A span a request for OpenTelemetry, where BILLING_OPENTELEMETRY says so.

Where spans go and what the service is called is OpenTelemetry's own environment (OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_SERVICE_NAME, …). Its packages are an extra: they are imported here alone, and only when they are asked for.
"""

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing_pipeline.settings import SettingsError
from billing_pipeline.web.api.gate import route_of

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


class Tracing:
    """Around the gate: method, route, status and request id of each request; neither ids in paths nor bodies."""

    def __init__(self, app: ASGIApp, provider: "TracerProvider") -> None:
        self._app = app
        self._tracer = provider.get_tracer("billing.api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request; a `traceparent` that it brings is its parent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, StatusCode

        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        parent = extract(dict(Headers(scope=scope)))
        with self._tracer.start_as_current_span(scope["method"], parent, SpanKind.SERVER) as span:
            try:
                await self._app(scope, receive, told)
            finally:
                route = route_of(scope)
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.request.method", scope["method"])
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                span.set_attribute("billing.request_id", scope["state"]["request_id"])
                if status >= 500 or status == 0:
                    span.set_status(StatusCode.ERROR)


def exporting_provider() -> "TracerProvider":
    """One that sends spans by OTLP over HTTP, in batches beside the requests.

    Raises:
        SettingsError: the packages are not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            "BILLING_OPENTELEMETRY=yes: expected its packages: pip install 'billing-pipeline[opentelemetry]'"
        ) from None
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
