"""The demo's webhooks: a receiver while it runs, and whether Stripe's events confirm what was charged.

The receiver is a thread: a demo that is killed leaves none behind, and what it had not received yet the next one gets.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import uuid4

import uvicorn

from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.processing import ProcessingOptions, process_events
from billing_pipeline.events.queue import LEASE_S
from billing_pipeline.events.sweep import sweep_events
from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.month_checks import Check
from billing_pipeline.sandbox.lean_http import HOST
from billing_pipeline.sandbox.webhooks import register_endpoint
from billing_pipeline.settings import ReceiverSettings, Settings, load_settings
from billing_pipeline.stripe_gateway.gateway import open_gateway
from billing_pipeline.web.receiver.app import PATHS, create_app
from billing_pipeline.web.receiver.server import configured

STARTED_WITHIN_S = 20.0
DELIVERED_WITHIN_S = 120.0
POLL_S = 0.2


@contextmanager
def receiving(settings: Settings, warehouse: Warehouse) -> Iterator[None]:
    """The emulator at STRIPE_API_BASE sends every event to a receiver that runs as long as the block."""
    # the receiver needs the secret before it has a port: the endpoint is registered with any port, then with its own
    url = f"http://{HOST}:{settings.receiver_port}{PATHS[0]}"
    api_base = os.environ["STRIPE_API_BASE"]
    receiver_settings = ReceiverSettings(
        database_url=None,
        secrets=(register_endpoint(api_base, url, settings.state_dir),),
        tolerance_s=300,
        livemode=False,
        account=None,
        event_keys=settings.events.keys,
        port=0,
    )
    app = create_app(receiver_settings, libpq_url(warehouse.engine.url))
    server = uvicorn.Server(configured(app, host=HOST, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, name="webhook-receiver", daemon=True)
    thread.start()
    try:
        _wait_until_started(server)
        port = int(server.servers[0].sockets[0].getsockname()[1])
        register_endpoint(api_base, f"http://{HOST}:{port}{PATHS[0]}", settings.state_dir)
        yield
    finally:
        server.should_exit = True
        thread.join()


def _wait_until_started(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while not server.started:
        if time.monotonic() > deadline:
            raise RuntimeError("the webhook receiver did not start")
        time.sleep(0.01)


def follow_events(warehouse: Warehouse, month: date) -> int:
    """Wait for what the emulator still has to deliver, and process it. Returns how many events are stored.

    A demo of before may have charged without a receiver, or may have been killed: then the sweep fetches what is not
    here, and claims that nobody works on any more are taken over.
    """
    _wait_until_delivered(os.environ["STRIPE_API_BASE"])
    _process(warehouse)
    if not all(row["confirmed"] for row in warehouse.rows(_CONFIRMED, month=month)):
        settings = load_settings()
        cipher, gateway = EventCipher(settings.events.keys), open_gateway(settings)
        sweep_events(warehouse, gateway, cipher, f"demo-{uuid4()}", datetime.now(UTC), log=_quiet)
        _process(warehouse)
    return int(warehouse.scalar("SELECT count(*) FROM billing.stripe_events"))


def _process(warehouse: Warehouse) -> None:
    settings = load_settings()
    process_events(
        warehouse,
        open_gateway(settings),
        lambda: EventCipher(settings.events.keys),
        f"demo-{uuid4()}",
        ProcessingOptions(clock=lambda: datetime.now(UTC) + timedelta(seconds=LEASE_S)),
    )


def _wait_until_delivered(api_base: str) -> None:
    parts = urlsplit(api_base)
    deadline = time.monotonic() + DELIVERED_WITHIN_S
    while time.monotonic() < deadline:
        connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
        connection.request("GET", "/_emulator/summary")
        deliveries = json.loads(connection.getresponse().read())["deliveries"]
        connection.close()
        if not deliveries.get("pending"):
            return
        time.sleep(POLL_S)


def check_webhooks(warehouse: Warehouse, month: date) -> list[Check]:
    """Whether Stripe told us of every payment by itself, and whether both books agree."""
    paid = warehouse.rows(_CONFIRMED, month=month)
    unconfirmed = tuple(f"invoice {row['number']} is paid and no event says so" for row in paid if not row["confirmed"])
    dead = warehouse.rows("SELECT event_id, last_error FROM billing.stripe_event_work WHERE state = 'dead'")
    compared = compare_with_stripe(
        warehouse, open_gateway(load_settings()), f"demo-{uuid4()}", datetime.now(UTC), month=month
    )
    books = compared.books
    return [
        Check(
            "Stripe's webhooks confirm every payment",
            f"{len(paid) - len(unconfirmed)} of {len(paid)} paid invoices",
            (*unconfirmed, *(f"event {row['event_id']}: {row['last_error']}" for row in dead)),
        ),
        Check(
            "Our books and Stripe's agree (billing reconcile)",
            f"{len(books.charges)} charges, {len(books.invoices)} invoices and {len(books.payments)} payments there",
            tuple(f"{one.object_type} {one.kind}: {one.ours} here, {one.theirs} there" for one in compared.differences),
        ),
    ]


def _quiet(_: str) -> None:
    """The demo prints what came of it."""


_CONFIRMED = """
SELECT i.number, EXISTS (
    SELECT FROM billing.stripe_events AS e JOIN billing.stripe_event_work AS w USING (event_id)
    WHERE e.object_id = c.stripe_invoice_id AND e.type = 'invoice.paid' AND w.state = 'applied'
) AS confirmed
FROM billing.stripe_charges AS c JOIN billing.invoices AS i USING (invoice_id)
WHERE c.state = 'paid' AND c.billing_month = :month
ORDER BY i.invoice_number
"""
