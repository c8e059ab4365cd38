"""One API call from bytes to bytes: key, route, rate limit, faults, parameters, idempotency, operation.

The order is Stripe's: what is refused before the operation begins to execute leaves nothing under its key.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Mapping
from typing import Any

from . import advancing, clock, faults, forms, idempotency, validation
from .calls import Answer, Call, record
from .config import API_VERSION, EmulatorConfig
from .database import savepoint, transaction
from .delivery import Courier
from .errors import StripeError, invalid, rate_limited, server_error, unauthorised, unknown_url
from .expansion import expand
from .listing import Page
from .rate_limit import RateLimiter
from .routes import Route
from .routing import match
from .store import Store, dumps
from .work import Work

_log = logging.getLogger(__name__)


class Dispatcher:
    """Carries out calls against one database."""

    def __init__(self, config: EmulatorConfig, store: Store, courier: Courier) -> None:
        self.config = config
        self.store = store
        self.courier = courier
        self.limiter = RateLimiter(config.rate_limit_per_s, config.rate_limit_per_endpoint_per_s)

    async def handle(self, call: Call) -> tuple[Answer, dict[str, str]]:
        """The answer and its headers."""
        hit = faults.NONE
        try:
            authenticate(call.headers)
            found = match(call.method, call.path)
            if found is None:
                raise unknown_url(call.method, call.path)
            route, ids = found
            if not self.limiter.allows(route.name):
                raise rate_limited()
            if faults.active(self.store.connection):
                with transaction(self.store.connection):
                    hit = faults.decide(self.store.connection, f"{call.method} {call.path}")
            answer = await self._execute(call, route, ids, hit)
        except StripeError as error:
            answer = Answer(error.status, dumps(error.body()))
        except Exception:  # noqa: BLE001 - logged, and answered as a 500
            # a mistake of the emulator's own: everything is rolled back, and nobody is told that it worked
            call.recorded = False
            _log.exception("the Stripe emulator failed on %s %s", call.method, call.path)
            if call.key:
                idempotency.release(self.store.connection, call.key)
            answer = Answer(500, dumps(server_error().body()))
        if not call.recorded:
            self._record(call, answer, hit)
        self.courier.wake()
        return answer, headers(call, answer)

    async def _execute(self, call: Call, route: Route, ids: dict[str, str], hit: faults.Hit) -> Answer:
        if hit.disaster == "drop_before_effect":
            await asyncio.sleep(hit.latency_s)
            return Answer(None)
        if hit.disaster == "rate_limit":
            raise rate_limited()
        params = validation.check(route.params, forms.parse(call.encoded), route.supported, route.name)
        paths = params.pop("expand", [])
        key, connection = call.key, self.store.connection
        if key is not None and not 1 <= len(key) <= idempotency.KEY_MAX:
            raise invalid(f"Idempotency keys have 1 to {idempotency.KEY_MAX} characters.")
        prints = idempotency.fingerprint(call.encoded) if key else ""
        reserved = False
        if hit.latency_s:
            if key:
                stored = self._begin(call, key, prints, hit)
                if stored:
                    await asyncio.sleep(hit.latency_s)
                    return self._replay(stored, hit)
                reserved = True
            await asyncio.sleep(hit.latency_s)
        with transaction(connection):
            if key and not reserved:
                stored = self._reserve(call, key, prints, hit)
                if stored:
                    return self._replay(stored, hit)
            answer = self._run(call, route, ids, params, paths, hit)
            if key:
                idempotency.store(connection, key, answer.status or 500, answer.body)
            if hit.disaster == "drop_after_effect":
                answer = Answer(None)
            self._record(call, answer, hit)
        return answer

    def _record(self, call: Call, answer: Answer, hit: faults.Hit) -> None:
        record(self.store.connection, self.config.call_log_max, call, answer, hit.fired)
        call.recorded = True

    def _begin(self, call: Call, key: str, prints: str, hit: faults.Hit) -> idempotency.Stored | None:
        with transaction(self.store.connection):
            return self._reserve(call, key, prints, hit)

    def _reserve(self, call: Call, key: str, prints: str, hit: faults.Hit) -> idempotency.Stored | None:
        connection = self.store.connection
        now = clock.now(connection)
        if hit.expire_key:
            idempotency.forget(connection, key)
        stored = idempotency.look_up(connection, key, call.path, prints, now)
        if stored is None:
            idempotency.reserve(connection, key, call.path, prints, now, call.request_id)
        return stored

    def _replay(self, stored: idempotency.Stored, hit: faults.Hit) -> Answer:
        if hit.disaster == "drop_after_effect":
            return Answer(None)
        return Answer(stored.status, stored.body, stored.request_id, replayed=True)

    def _run(
        self,
        call: Call,
        route: Route,
        ids: dict[str, str],
        params: dict[str, Any],
        paths: list[str],
        hit: faults.Hit,
    ) -> Answer:
        """The operation and its answer, inside the caller's transaction; refusals undo what they wrote."""
        if hit.disaster == "error_500_without_effect":
            return Answer(500, dumps(server_error().body()))
        now = int(clock.now(self.store.connection))
        work = Work(self.store, now, call.request_id, call.key, f"http://{call.headers.get('host', '')}")
        if advancing.is_due(work):
            advancing.advance(Work(self.store, now))
        try:
            with savepoint(self.store.connection):
                try:
                    answer = Answer(200, render(work, route.run(work, params, **ids), paths))
                except StripeError as error:
                    if not error.keep_effects:
                        raise
                    answer = Answer(error.status, dumps(error.body()))
        except StripeError as error:
            answer = Answer(error.status, dumps(error.body()))
        if hit.disaster == "error_500_with_effect":
            return Answer(500, dumps(server_error().body()))
        return answer


def render(work: Work, result: Any, paths: list[str]) -> str:
    """JSON of an operation's result; stored JSON goes through unparsed unless something is to be expanded."""
    if isinstance(result, Page):
        result = result.json()
    if paths:
        result = expand(work, json.loads(result) if isinstance(result, str) else result, paths)
    return result if isinstance(result, str) else dumps(result)


def authenticate(headers: Mapping[str, str]) -> None:
    """Any test key will do; live keys must never come here, and are not repeated in the answer."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    key = ""
    if scheme.lower() == "bearer":
        key = credentials.strip()
    elif scheme.lower() == "basic":
        try:
            key = base64.b64decode(credentials, validate=True).decode("ascii").partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise unauthorised(
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if key.startswith(("sk_live_", "rk_live_", "pk_live_")):
        raise unauthorised("A live API key was sent to the Stripe emulator, which only accepts test keys (sk_test_…).")
    if not key.startswith(("sk_test_", "rk_test_")):
        raise unauthorised("Invalid API Key provided: the Stripe emulator accepts keys that begin with sk_test_.")


def headers(call: Call, answer: Answer) -> dict[str, str]:
    """Stripe's response headers that clients look at."""
    result = {
        "request-id": call.request_id,
        "stripe-version": call.headers.get("stripe-version", API_VERSION),
    }
    if call.key:
        result["idempotency-key"] = call.key
        result["original-request"] = answer.original_request or call.request_id
    if answer.replayed:
        result["idempotent-replayed"] = "true"
    if answer.status == 409:
        result["stripe-should-retry"] = "true"
    return result
