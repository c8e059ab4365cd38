"""Webhooks: signed as the SDK verifies them, at least once, retried, and disturbed on request."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated

WAIT_S = 10.0


class Receiver:
    """Collects deliveries; answers the statuses it is told, then 200."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[bytes, str]] = queue.Queue()
        self.statuses: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                outer.received.put((body, self.headers["Stripe-Signature"]))

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def next_type(self) -> str:
        return str(json.loads(self.received.get(timeout=WAIT_S)[0])["type"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.close()


def subscribe(e: Emulated, receiver: Receiver, *types: Any) -> str:
    endpoint = e.api.webhook_endpoints.create({"url": receiver.url, "enabled_events": list(types) or ["*"]})
    assert endpoint.secret is not None
    return endpoint.secret


def test_a_delivery_passes_the_sdks_verification_and_a_wrong_secret_does_not(
    fresh: Emulated, receiver: Receiver
) -> None:
    secret = subscribe(fresh, receiver, "customer.created")
    customer = fresh.api.customers.create()
    payload, signature = receiver.received.get(timeout=WAIT_S)
    event = stripe.Webhook.construct_event(payload, signature, secret)
    assert (event.type, event.data.object["id"]) == ("customer.created", customer.id)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(payload, signature, "whsec_wrong")


def test_only_enabled_events_are_sent_and_the_secret_is_shown_once(fresh: Emulated, receiver: Receiver) -> None:
    subscribe(fresh, receiver, "invoice.finalized", "invoice.paid")
    fresh.api.invoices.pay(fresh.open_invoice().id)
    assert sorted([receiver.next_type(), receiver.next_type()]) == ["invoice.finalized", "invoice.paid"]
    assert "secret" not in fresh.api.webhook_endpoints.list().data[0]


def test_a_refused_delivery_is_retried_by_the_emulators_clock(fresh: Emulated, receiver: Receiver) -> None:
    subscribe(fresh, receiver, "customer.created")
    receiver.statuses = [500, 503]
    fresh.api.customers.create()
    first = receiver.received.get(timeout=WAIT_S)
    for attempts, pause in ((1, 6), (2, 11)):
        settled(fresh, "pending", attempts)
        fresh.advance(pause)
        assert receiver.received.get(timeout=WAIT_S)[0] == first[0]
    settled(fresh, "delivered", 3)


def settled(e: Emulated, state: str, attempts: int) -> None:
    """Wait until the answer to that attempt is booked: only then is the next one counted from the clock as it is."""
    for _ in range(500):
        delivery = e.control("GET", "/deliveries")["deliveries"][0]
        if (delivery["state"], delivery["attempts"]) == (state, attempts):
            return
        threading.Event().wait(0.01)
    raise AssertionError("the delivery was not settled")


def test_deliveries_are_given_up_after_the_retry_period(start: Callable[..., Emulated], receiver: Receiver) -> None:
    e = start(webhook_retry_for_s=4.0)
    subscribe(e, receiver, "customer.created")
    receiver.statuses = [500]
    e.api.customers.create()
    receiver.received.get(timeout=WAIT_S)
    settled(e, "failed", 1)


def test_duplicates_and_delays_on_request(fresh: Emulated, receiver: Receiver) -> None:
    subscribe(fresh, receiver, "customer.created", "product.created")
    fresh.fault("webhook_duplicate", operation="customer.*", copies=2)
    fresh.fault("webhook_delay", operation="product.*", delay_s=60)
    fresh.api.products.create({"name": "late"})
    fresh.api.customers.create()
    assert [receiver.next_type() for _ in range(3)] == ["customer.created"] * 3
    assert receiver.received.empty()
    fresh.advance(61)
    assert receiver.next_type() == "product.created"


def test_reordered_deliveries_arrive_all_and_in_another_order(fresh: Emulated, receiver: Receiver) -> None:
    subscribe(fresh, receiver, "customer.created")
    fresh.fault("webhook_reorder", delay_s=1_000)
    made = [fresh.api.customers.create().id for _ in range(12)]
    fresh.advance(1_001)
    arrived = [json.loads(receiver.received.get(timeout=WAIT_S)[0])["data"]["object"]["id"] for _ in made]
    assert sorted(arrived) == sorted(made)
    assert arrived != made


@pytest.mark.parametrize(
    "url", ["http://example.com/hook", "https://10.0.0.1/", "http://127.0.0.1.nip.io/", "ftp://127.0.0.1/"]
)
def test_targets_off_this_machine_are_refused(emulator: Emulated, url: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        emulator.api.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
    assert refusal.value.code == "url_invalid"


def test_a_deleted_endpoint_gets_nothing_more(fresh: Emulated, receiver: Receiver) -> None:
    subscribe(fresh, receiver, "customer.created")
    fresh.api.webhook_endpoints.delete(fresh.api.webhook_endpoints.list().data[0].id)
    fresh.api.customers.create()
    assert fresh.control("GET", "/deliveries")["deliveries"] == []
