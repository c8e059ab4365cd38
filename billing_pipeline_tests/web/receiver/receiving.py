"""A receiver in a thread, and events signed as Stripe signs them."""

import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPConnection
from typing import Any

import uvicorn

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.store import read_body
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import EventKey, ReceiverSettings
from billing_pipeline.web.receiver.app import create_app
from billing_pipeline.web.receiver.server import configured

SECRET = "whsec_" + "s" * 32
KEYS = (EventKey("tests", b"k" * 32),)
PATH = "/stripe/webhook"


def event_body(event_id: str = "evt_1", **over: Any) -> bytes:
    event = {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_790_000_000,
        "type": "invoice.paid",
        "livemode": False,
        "pending_webhooks": 1,
        "data": {"object": {"id": f"in_{event_id}", "object": "invoice", "total": 500}},
    }
    return json.dumps(event | over).encode()


def signature(body: bytes, secret: str = SECRET, at: float | None = None) -> str:
    signed_at = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), b"%d.%s" % (signed_at, body), sha256).hexdigest()
    return f"t={signed_at},v1={digest}"


@dataclass(frozen=True)
class Receiving:
    """A receiver that answers on `port`, and what it has stored."""

    port: int
    warehouse: Warehouse

    def send(
        self, body: bytes, header: str | bytes | None = None, *, path: str = PATH, **headers: str
    ) -> tuple[int, str]:
        """Status and text of the answer to a POST; signed with `SECRET` unless a header is given."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            signed = signature(body) if header is None else header
            connection.request("POST", path, body, {"Stripe-Signature": signed, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()
        finally:
            connection.close()

    def get(self, path: str) -> int:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def stored(self) -> list[str]:
        """Ids of all stored events."""
        return [row["event_id"] for row in self.warehouse.rows("SELECT event_id FROM billing.stripe_events ORDER BY 1")]

    def body_of(self, event_id: str) -> bytes:
        with self.warehouse.engine.connect() as connection:
            return read_body(raw(connection), event_id, EventCipher(KEYS))


def settings(**over: Any) -> ReceiverSettings:
    given: dict[str, Any] = {
        "database_url": None, "secrets": (SECRET,), "tolerance_s": 300, "livemode": False, "account": None,
        "event_keys": KEYS, "port": 0,
    }  # fmt: skip
    return ReceiverSettings(**given | over)


def database_url(warehouse: Warehouse) -> str:
    return warehouse.engine.url.render_as_string(hide_password=False)


@contextmanager
def receiving(warehouse: Warehouse, url: str | None = None, **over: Any) -> Iterator[Receiving]:
    """A receiver for as long as the block takes; `over` are fields of ReceiverSettings."""
    app = create_app(settings(**over), url or database_url(warehouse))
    server = uvicorn.Server(configured(app, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        yield Receiving(int(server.servers[0].sockets[0].getsockname()[1]), warehouse)
    finally:
        server.should_exit = True
        thread.join()
