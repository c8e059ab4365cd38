"""What a request leaves behind for those who operate the API: a line in the log, a span; never whose it was."""

import asyncio
import gzip
import json
import logging
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.types import Message, Receive, Scope, Send

from billing_pipeline.sandbox.bench.pages import get
from billing_pipeline.settings import SettingsError, load_settings
from billing_pipeline.settings.logs import logs_are_json, requests_are_traced
from billing_pipeline.web.api import tracing
from billing_pipeline.web.api.app import create_app
from billing_pipeline.web.api.tracing import Tracing
from billing_pipeline.web.receiver.logs import JsonLines
from billing_pipeline_tests.web.api.serving import Serving

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_is_a_line_of_fields(api: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "billing.api")
    analyst = api.as_("analyst")
    analyst.send("GET", "/invoices/INV-00000007?x=secret", headers={"X-Request-Id": "abcdefgh-1"})
    until = time.monotonic() + 10
    while not caplog.records and time.monotonic() < until:  # the line is written once the answer is on its way
        time.sleep(0.01)
    record = caplog.records[-1]
    line = json.loads(JsonLines().format(record))
    assert {name: line[name] for name in ("level", "logger", "request_id", "method", "route", "status")} == {
        "level": "info",
        "logger": "billing.api",
        "request_id": "abcdefgh-1",
        "method": "GET",
        "route": "/api/billing/invoices/{invoice}",
        "status": 404,
    }
    assert line["token_id"] in str(analyst.token)
    assert line["took_ms"] >= 0
    assert not any(word in json.dumps(line) for word in ("INV-00000007", "secret", "analyst"))


def test_a_fault_in_the_log_is_one_line_of_json() -> None:
    try:
        raise ValueError("torn\nin two")
    except ValueError:
        record = logging.LogRecord("billing.api", logging.ERROR, "", 1, "failed\n%s", ("now",), sys.exc_info())
    [line] = JsonLines().format(record).splitlines()
    said = json.loads(line)
    assert (said["message"], said["level"], "torn" in said["exception"]) == ("failed\nnow", "error", True)


def spans(status: int) -> list[Any]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        scope["state"] = {"request_id": "r-1"}
        scope["route"] = SimpleNamespace(path="/invoices/{invoice}")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing() -> Message:
        return {"type": "http.request", "body": b""}

    async def unheard(_: Message) -> None:
        pass

    scope = {
        "type": "http", "method": "GET", "path": "/api/billing/invoices/INV-00000007",
        "headers": [(b"traceparent", PARENT.encode())],
    }  # fmt: skip
    asyncio.run(Tracing(app, provider)(scope, nothing, unheard))
    return list(exporter.get_finished_spans())


def test_a_request_is_a_span_below_the_caller_s_own() -> None:
    [span] = spans(200)
    assert (span.name, format(span.parent.trace_id, "032x")) == ("GET /api/billing/invoices/{invoice}", PARENT[3:35])
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/api/billing/invoices/{invoice}",
        "http.response.status_code": 200,
        "billing.request_id": "r-1",
    }
    assert [each.status.status_code for each in (span, *spans(503))] == [StatusCode.UNSET, StatusCode.ERROR]


def test_settings_that_cannot_work_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (logs_are_json(), requests_are_traced()) == (False, False)
    monkeypatch.setenv("BILLING_LOG_FORMAT", "xml")
    with pytest.raises(SettingsError, match="expected text or json"):
        logs_are_json()
    monkeypatch.setenv("BILLING_OPENTELEMETRY", "true")
    with pytest.raises(SettingsError, match="expected yes or no"):
        requests_are_traced()
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"billing-pipeline\[opentelemetry\]"):
        tracing.exporting_provider()


def test_spans_arrive_at_a_collector_and_say_nothing_of_anybody(api: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over OTLP, where the extra is installed: neither token nor customer, no id of a path, no query."""
    messages = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    taken: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        analyst = api.as_("analyst")
        traced = Tracing(create_app(load_settings(), api.warehouse), provider := tracing.exporting_provider())
        headers = [(b"authorization", f"Bearer {analyst.token}".encode()), (b"x-request-id", b"abcdefgh-2")]
        assert asyncio.run(get(traced, "/api/billing/invoices/INV-00000007?x=hidden", headers)) == 404
        provider.shutdown()  # type: ignore[attr-defined]
        server.shutdown()
    sent = messages.ExportTraceServiceRequest.FromString(taken[0])
    [span] = [span for each in sent.resource_spans for scope in each.scope_spans for span in scope.spans]
    assert span.name == "GET /api/billing/invoices/{invoice}"
    assert any(attribute.value.string_value == "abcdefgh-2" for attribute in span.attributes)
    assert not any(
        word in b"".join(taken) for word in (b"INV-00000007", b"hidden", str(analyst.token).encode()[17:], b"analyst")
    )
