"""What every request passes before its route: an id, a token that holds, its rate, a body of a kind that is read.

Plain ASGI, so that a stranger costs one look-up and no parsing.
"""

import logging
import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from anyio import to_thread
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing_pipeline.access.callers import caller_of
from billing_pipeline.access.identity_provider import IdentityProvider, ProviderAway
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.api.event_bodies import BODY_MAX_BYTES as EVENTS_MAX_BYTES
from billing_pipeline.web.api.metrics import Metrics
from billing_pipeline.web.api.problems import LATER, problem, problem_of
from billing_pipeline.web.api.reads import Reads
from billing_pipeline.web.rates import RateLimits

PREFIX = "/api/billing"
OPEN_PATHS = frozenset({f"{PREFIX}/openapi.json", f"{PREFIX}/docs", f"{PREFIX}/docs.css", f"{PREFIX}/stripe-webhook"})
"""Paths below the prefix that no token opens."""
BODY_TYPES: Mapping[tuple[str, str], frozenset[str]] = {
    ("POST", f"{PREFIX}/usage/events"): frozenset({"application/json", "application/x-ndjson"})
}
"""Method and path -> the media types that its body may have, where that is not JSON alone."""
BODY_MAX_BYTES = 1024 * 1024
BODIES_MAX_BYTES: Mapping[str, int] = {f"{PREFIX}/usage/events": EVENTS_MAX_BYTES}
"""Path -> how large its body may be, where that is not BODY_MAX_BYTES."""
_JSON = frozenset({"application/json"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_log = logging.getLogger("billing.api")


class Gate:
    """The outermost part of the application."""

    def __init__(
        self,
        app: ASGIApp,
        warehouse: Warehouse,
        limits: RateLimits,
        metrics: Metrics,
        provider: IdentityProvider | None = None,
        reads: Reads | None = None,
    ) -> None:
        self._app = app
        self._provider = provider
        self._reads = reads
        self._warehouse = warehouse
        self._limits = limits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        state["warehouse"] = self._warehouse
        answer = _Answer(send, {"X-Request-Id": state["request_id"]})
        started_ns = time.perf_counter_ns()
        try:
            own = await self._own_answer(scope, headers, answer)
            await (own or self._app)(scope, _limited(scope, receive), answer)
        except HTTPException as error:
            await problem_of(Request(scope), error)(scope, receive, answer)
        except Exception as error:
            _log.exception("request %s failed", state["request_id"])
            if answer.status is None:
                await problem_of(Request(scope), error)(scope, receive, answer)
            elif not answer.is_whole:
                raise  # all that is left is to break off
        finally:
            took_ns = time.perf_counter_ns() - started_ns
            self._metrics.add(scope["method"], route_of(scope), answer.status or 0, took_ns)
            caller: Caller | None = state.get("caller")
            said = {
                "request_id": state["request_id"],
                "method": scope["method"],
                "route": route_of(scope),
                "status": answer.status,
                "took_ms": took_ns // 10**6,
                "token_id": caller.token_id if caller else None,
            }
            words = ("-" if value is None else value for value in said.values())
            _log.info("%s %s %s %s %d ms %s", *words, extra={"fields": said})

    async def _own_answer(self, scope: Scope, headers: Headers, answer: "_Answer") -> ASGIApp | None:
        """A refusal, or what was read; None: the application answers."""
        path = scope["path"]
        if not path.startswith(f"{PREFIX}/") or path in OPEN_PATHS:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return _unknown(scope)
        return await to_thread.run_sync(self._let_in, token.strip(), scope, headers, answer)

    def _let_in(self, token: str, scope: Scope, headers: Headers, answer: "_Answer") -> ASGIApp | None:
        try:
            caller = self._caller_of(token)
        except ProviderAway as away:
            return problem(Request(scope), 503, str(away), headers=LATER)
        if caller is None:
            return _unknown(scope)
        scope["state"]["caller"] = caller
        taken = self._limits.take(caller.token_id)
        answer.headers.update(taken.headers)
        if not taken.allowed:
            return problem(Request(scope), 429, f"too many requests of this token: one more in {taken.reset_s} s")
        refusal = _unreadable(scope, headers)
        return self._reads.answer(scope) if self._reads and not refusal else refusal

    def _caller_of(self, token: str) -> Caller | None:
        if self._provider is None or token.startswith("bil_"):
            return caller_of(self._warehouse, token)
        return self._provider.caller_of(token)


def _unknown(scope: Scope) -> ASGIApp:
    why = "a bearer token that holds is needed: Authorization: Bearer bil_…"
    return problem(Request(scope), 401, why, headers={"WWW-Authenticate": "Bearer"})


def _limited(scope: Scope, receive: Receive) -> Receive:
    """What is read of the body, up to its limit: whatever its length was said to be."""
    limit = BODIES_MAX_BYTES.get(scope["path"], BODY_MAX_BYTES)
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise HTTPException(413, f"the body is larger than {limit:,} bytes")
        return message

    return limited


def _unreadable(scope: Scope, headers: Headers) -> ASGIApp | None:
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    expected = BODY_TYPES.get((scope["method"], scope["path"]), _JSON)
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in expected:
        return problem(Request(scope), 415, f"Content-Type: expected {' or '.join(sorted(expected))}")
    if "content-encoding" in headers and expected == _JSON:
        return problem(Request(scope), 415, "Content-Encoding: expected none")
    return None


def route_of(scope: Scope) -> str:
    """The path as its route is written: an id in it may be somebody's name."""
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return "-"
    return PREFIX + str(path) if scope["path"].startswith(PREFIX) else str(path)


_SAFE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""What an answer is sent with that does not say it otherwise itself, as pages do: they have scripts of their own, and
browsers have to name the origin of their forms."""


class _Answer:
    """Sends on, adds headers, and knows the status."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self.headers = dict(headers)
        self.status: int | None = None
        self.is_whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = MutableHeaders(scope=message)
            for name, value in self.headers.items():
                own[name] = value
            for name, value in _SAFE.items():
                own.setdefault(name, value)
        await self._send(message)
        self.is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
