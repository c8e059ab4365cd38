"""The control surface under ``/_emulator``: faults, the clock, the call log and a summary.

What customers and banks do is in `control_payments`, what a person does in the dashboard in `control_dashboard`, and
events of other accounts in `control_events`.

For harnesses and tests; nothing here exists at Stripe. JSON in, JSON out, no authentication (loopback only).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import advancing, calls, clock, control_dashboard, control_events, control_payments, faults, idempotency
from .config import EmulatorConfig
from .database import transaction
from .delivery import Courier
from .errors import StripeError, invalid
from .indexing import Body
from .store import Store
from .work import Work

Handler = Callable[[Request], Awaitable[Response]]
Action = Callable[[Work, Body], Body]
CALLS_DEFAULT, CALLS_MAX = 1_000, 100_000


class Control:
    """The handlers, bound to one emulator."""

    def __init__(self, config: EmulatorConfig, store: Store, courier: Courier) -> None:
        self._config = config
        self._store = store
        self._courier = courier

    def routes(self) -> list[Route]:
        """Starlette routes, to be mounted under ``/_emulator``."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/healthz", self.health),
            ("GET", "/faults", self.list_faults),
            ("POST", "/faults", self.add_faults),
            ("DELETE", "/faults", self.clear_faults),
            ("DELETE", "/faults/{fault_id:int}", self.clear_faults),
            ("GET", "/clock", self.read_clock),
            ("POST", "/clock", self.move_clock),
            ("GET", "/calls", self.list_calls),
            ("DELETE", "/calls", self.clear_calls),
            ("GET", "/summary", self.summary),
            ("GET", "/deliveries", self.deliveries),
        ]
        actions = (*control_payments.ACTIONS, *control_dashboard.ACTIONS, *control_events.ACTIONS)
        table.extend(("POST", path, self._action(action)) for path, action in actions)
        return [Route(path, _guarded(handler), methods=[method]) for method, path, handler in table]

    def _work(self) -> Work:
        return Work(self._store, int(clock.now(self._store.connection)))

    def _action(self, action: Action) -> Handler:
        """A handler that carries out an action; what a declined payment left behind stays, as in the API."""

        async def act(request: Request) -> Response:
            fields = await _json(request) | request.path_params
            with transaction(self._store.connection):
                try:
                    response = JSONResponse(action(self._work(), fields))
                except StripeError as refusal:
                    if not refusal.keep_effects:
                        raise
                    response = JSONResponse(refusal.body(), refusal.status)
            self._courier.wake()
            return response

        return act

    async def health(self, _: Request) -> Response:
        """200 once the database answers."""
        self._store.connection.execute("SELECT 1")
        return JSONResponse({"status": "ok"})

    async def list_faults(self, _: Request) -> Response:
        """All fault rules with their counters."""
        return JSONResponse({"faults": faults.listed(self._store.connection)})

    async def add_faults(self, request: Request) -> Response:
        """Add one rule, or ``{"rules": [...], "seed": 7}``; see `faults` for the fields."""
        body = await _json(request)
        rules = body.get("rules", [body])
        if not isinstance(rules, list):
            raise invalid("`rules` must be a list.", param="rules")
        with transaction(self._store.connection):
            ids = faults.add(self._store.connection, rules, int(body.get("seed") or self._config.seed))
        return JSONResponse({"ids": ids})

    async def clear_faults(self, request: Request) -> Response:
        """Remove all rules, or one."""
        faults.clear(self._store.connection, request.path_params.get("fault_id"))
        return JSONResponse({"faults": faults.listed(self._store.connection)})

    async def read_clock(self, _: Request) -> Response:
        """The emulator's time."""
        return JSONResponse({"now": clock.now(self._store.connection)})

    async def move_clock(self, request: Request) -> Response:
        """``{"now": 1790000000}`` or ``{"advance_s": 3600}``; what becomes due happens before the answer."""
        body = await _json(request)
        if set(body) not in ({"now"}, {"advance_s"}) or not all(isinstance(v, int | float) for v in body.values()):
            raise invalid("Give either `now` (Unix time) or `advance_s` (seconds).")
        with transaction(self._store.connection):
            now = clock.move(self._store.connection, to=body.get("now"), advance_s=body.get("advance_s", 0.0))
            idempotency.purge(self._store.connection, now)
            while advancing.is_due(work := self._work()):
                advancing.advance(work)
        self._courier.wake()
        return JSONResponse({"now": now})

    async def list_calls(self, request: Request) -> Response:
        """The newest API calls, oldest first: ``?limit=``."""
        text = request.query_params.get("limit", str(CALLS_DEFAULT))
        if not text.isdecimal() or not 1 <= int(text) <= CALLS_MAX:
            raise invalid(f"`limit` must be between 1 and {CALLS_MAX}.", param="limit")
        return JSONResponse({"calls": calls.listed(self._store.connection, int(text))})

    async def clear_calls(self, _: Request) -> Response:
        """Forget the call log."""
        self._store.connection.execute("DELETE FROM calls")
        return JSONResponse({"calls": []})

    async def summary(self, _: Request) -> Response:
        """Counts by object and state, and for every invoice the number of successful payments."""
        connection = self._store.connection
        counts: dict[str, dict[str, int]] = {}
        rows = connection.execute("SELECT kind, coalesce(status, 'all'), count(*) FROM objects GROUP BY 1, 2")
        for kind, status, count in rows:
            counts.setdefault(kind, {})[status] = count
        successful = connection.execute(
            "SELECT p.parent, count(*) FROM objects c JOIN objects p ON p.kind = 'invoice_payment' AND "
            "p.tag = c.parent WHERE c.kind = 'charge' AND c.status = 'succeeded' GROUP BY 1"
        ).fetchall()
        deliveries = dict(connection.execute("SELECT state, count(*) FROM deliveries GROUP BY 1").fetchall())
        calls_by_status = {
            str(status): count
            for status, count in connection.execute("SELECT status, count(*) FROM calls GROUP BY 1").fetchall()
        }
        return JSONResponse(
            {
                "objects": counts,
                "successful_payments_by_invoice": dict(successful),
                "deliveries": deliveries,
                "calls_by_status": calls_by_status,
            }
        )

    async def deliveries(self, _: Request) -> Response:
        """Every webhook delivery with its state, attempts and last answer."""
        names = ("event_id", "endpoint_id", "state", "attempts", "due_at", "last_answer")
        rows = self._store.connection.execute(f"SELECT {', '.join(names)} FROM deliveries ORDER BY delivery_id")
        return JSONResponse({"deliveries": [dict(zip(names, row, strict=True)) for row in rows]})


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except StripeError as error:
            return JSONResponse(error.body(), error.status)

    return guarded


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise invalid("The body must be JSON.") from None
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return body
