"""The gateway against the emulator over real HTTP."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from billing_pipeline.settings import SettingsError, load_settings
from billing_pipeline.stripe_gateway.gateway import RETRIES_MAX, StripeGateway, open_gateway
from billing_pipeline.stripe_gateway.limits import RateLimits, shared_limits
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure
from billing_pipeline_tests.charging.world import KEY, Bill, Emulated

BODY: dict[str, Any] = {
    "auto_advance": False,
    "collection_method": "charge_automatically",
    "currency": "usd",
    "metadata": {"invoice_id": "inv-1"},
    "pending_invoice_items_behavior": "exclude",
}
LINES: list[dict[str, Any]] = [{"amount": 4000, "description": "users", "discountable": False}]


@pytest.fixture
def emulator(shared_stripe: Emulated) -> Iterator[Emulated]:
    yield shared_stripe
    shared_stripe.heal()


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def gateway(emulator: Emulated, naps: list[float]) -> Iterator[StripeGateway]:
    opened = StripeGateway(KEY, emulator.base_url, timeout_s=(5, 10), sleep=naps.append, jitter=lambda: 0.5)
    yield opened
    opened.close()


def drafted(gateway: StripeGateway, customer: str, key: str) -> StripeInvoice:
    invoice = gateway.create_invoice(BODY, customer, key=f"{key}:create")
    return gateway.add_lines(invoice.id, LINES, key=f"{key}:lines")


def test_an_invoice_goes_from_draft_to_paid(gateway: StripeGateway, emulator: Emulated) -> None:
    customer = emulator.customer(Bill("path"))
    empty = gateway.create_invoice(BODY, customer, key="path:create")
    assert empty == StripeInvoice(empty.id, "inv-1", customer, "draft", "usd", 0, has_lines=False)
    draft = gateway.add_lines(empty.id, LINES, key="path:lines")
    assert (draft.status, draft.total_minor, draft.has_lines) == ("draft", 4000, True)
    opened = gateway.finalize_invoice(draft.id, key="path:finalize")
    assert opened.status == "open"
    waiting = gateway.retrieve_invoice(draft.id)
    assert (waiting.payment_status, waiting.refusal) == ("requires_payment_method", None)
    paid = gateway.pay_invoice(draft.id, key="path:pay:1")
    assert (paid.status, paid.payment_status) == ("paid", "succeeded")
    assert gateway.retrieve_invoice(draft.id) == paid


def test_the_same_key_is_the_same_invoice(gateway: StripeGateway, emulator: Emulated) -> None:
    customer = emulator.customer(Bill("twice"))
    first = gateway.create_invoice(BODY, customer, key="twice:create")
    assert gateway.create_invoice(BODY, customer, key="twice:create") == first


@pytest.mark.parametrize(
    ("card", "code", "status"),
    [
        ("pm_card_chargeCustomerFail", "declined", "requires_payment_method"),
        ("pm_card_authenticationRequired", "action_required", "requires_action"),
        (None, "no_payment_method", "requires_payment_method"),
    ],
)
def test_a_refusal_is_definite_and_shows_on_the_object(
    gateway: StripeGateway, emulator: Emulated, card: str | None, code: str, status: str
) -> None:
    draft = drafted(gateway, emulator.customer(Bill(code, card=card)), code)
    gateway.finalize_invoice(draft.id, key=f"{code}:finalize")
    with pytest.raises(StripeFailure) as raised:
        gateway.pay_invoice(draft.id, key=f"{code}:pay:1")
    assert (raised.value.outcome, raised.value.code) == (Outcome.REFUSED, code)
    assert raised.value.evidence.request_id
    after = gateway.retrieve_invoice(draft.id)
    assert (after.status, after.payment_status) == ("open", status)
    assert (after.refusal is None) == (card is None)


def test_what_is_already_done_says_ask(gateway: StripeGateway, emulator: Emulated) -> None:
    draft = drafted(gateway, emulator.customer(Bill("done")), "done")
    gateway.finalize_invoice(draft.id, key="done:finalize")
    gateway.pay_invoice(draft.id, key="done:pay:1")
    calls: list[Callable[[], StripeInvoice]] = [
        lambda: gateway.pay_invoice(draft.id, key="done:pay:2"),
        lambda: gateway.finalize_invoice(draft.id, key="done:finalize:2"),
        lambda: gateway.add_lines(draft.id, LINES, key="done:lines:2"),
    ]
    for call in calls:
        with pytest.raises(StripeFailure) as raised:
            call()
        assert raised.value.outcome is Outcome.ASK


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda g: g.retrieve_invoice("in_missing"), "missing_at_stripe"),
        (lambda g: g.create_invoice(BODY, "cus_missing", key="missing:create"), "customer_missing"),
        (lambda g: g.create_invoice({**BODY, "colour": "red"}, "cus_missing", key="odd:create"), "request_mistaken"),
    ],
)
def test_a_mistake_of_ours_parks(gateway: StripeGateway, call: Any, code: str) -> None:
    with pytest.raises(StripeFailure) as raised:
        call(gateway)
    assert (raised.value.outcome, raised.value.code) == (Outcome.PARK, code)


def test_a_key_with_another_body_parks(gateway: StripeGateway, emulator: Emulated) -> None:
    customer = emulator.customer(Bill("reuse"))
    gateway.create_invoice(BODY, customer, key="reuse:create")
    with pytest.raises(StripeFailure) as raised:
        gateway.create_invoice({**BODY, "currency": "eur"}, customer, key="reuse:create")
    assert (raised.value.outcome, raised.value.code) == (Outcome.PARK, "key_reused")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("drop_before_effect", "connection_lost"),
        ("drop_after_effect", "connection_lost"),
        ("error_500_without_effect", "stripe_error"),
        ("error_500_with_effect", "stripe_error"),
    ],
)
def test_a_lost_answer_is_unknown_and_not_sent_again(
    gateway: StripeGateway, emulator: Emulated, naps: list[float], kind: str, code: str
) -> None:
    customer = emulator.customer(Bill(kind))
    emulator.fault(kind, "POST /v1/invoices", times=1)
    before = gateway.calls_made
    with pytest.raises(StripeFailure) as raised:
        gateway.create_invoice(BODY, customer, key=f"{kind}:create")
    assert (raised.value.outcome, raised.value.code) == (Outcome.UNKNOWN, code)
    assert not raised.value.evidence.replayed
    assert (gateway.calls_made - before, naps) == (1, [])


def test_a_stored_500_is_repeated_and_says_so(gateway: StripeGateway, emulator: Emulated) -> None:
    customer = emulator.customer(Bill("stored"))
    emulator.fault("error_500_without_effect", "POST /v1/invoices", times=1)
    for replayed in (False, True):
        with pytest.raises(StripeFailure) as raised:
            gateway.create_invoice(BODY, customer, key="stored:create")
        assert raised.value.evidence.replayed is replayed


def test_no_answer_in_time_is_unknown(emulator: Emulated) -> None:
    emulator.fault("latency", "POST /v1/customers", latency_ms=1500, times=1)
    impatient = StripeGateway(KEY, emulator.base_url, timeout_s=(1, 0.1))
    with pytest.raises(StripeFailure) as raised:
        impatient.create_customer("slow", "Slow", "slow@example.com", key="slow:create")
    impatient.close()
    assert raised.value.outcome is Outcome.UNKNOWN


def test_429_is_sent_again_with_growing_pauses(gateway: StripeGateway, emulator: Emulated, naps: list[float]) -> None:
    emulator.fault("rate_limit", "POST /v1/customers", times=3)
    created = gateway.create_customer("busy", "Busy", "busy@example.com", key="busy:create")
    assert created.customer_id == "busy"
    assert naps == [0.25, 0.5, 1.0]


def test_429_without_end_is_given_up(gateway: StripeGateway, emulator: Emulated, naps: list[float]) -> None:
    emulator.fault("rate_limit", "POST /v1/customers")
    with pytest.raises(StripeFailure) as raised:
        gateway.create_customer("never", "Never", "never@example.com", key="never:create")
    assert (raised.value.outcome, raised.value.code) == (Outcome.RETRY, "rate_limited")
    assert len(naps) == RETRIES_MAX


def test_a_key_that_stripe_does_not_know_stops_the_run(emulator: Emulated) -> None:
    wrong = StripeGateway("nonsense", emulator.base_url)
    with pytest.raises(StripeFailure) as raised:
        wrong.retrieve_invoice("in_1")
    wrong.close()
    assert raised.value.outcome is Outcome.STOP


def test_listing_goes_through_all_pages_and_filters(gateway: StripeGateway, emulator: Emulated) -> None:
    since = int(time.time()) - 60
    many, other = emulator.customer(Bill("many")), emulator.customer(Bill("other"))
    made = {gateway.create_invoice(BODY, many, key=f"page:{n}").id for n in range(201)}
    theirs = gateway.create_invoice(BODY, other, key="page:other").id
    own = list(gateway.list_invoices(since, many))
    assert len(own) == 201
    assert {invoice.id for invoice in own} == made
    assert {(invoice.invoice_id, invoice.status, invoice.total_minor, invoice.currency) for invoice in own} == {
        ("inv-1", "draft", 0, "usd")
    }
    assert made | {theirs} <= {invoice.id for invoice in gateway.list_invoices(since)}
    assert not list(gateway.list_invoices(int(time.time()) + 60))


def test_customers_come_with_our_key_and_whether_they_can_pay(gateway: StripeGateway, emulator: Emulated) -> None:
    with_card = emulator.customer(Bill("0007"))
    created = gateway.create_customer("0008", "Eight", "eight@example.com", key="0008:create")
    assert gateway.retrieve_customer(with_card).has_payment_method
    assert not gateway.retrieve_customer(created.id).has_payment_method
    assert {"0007", "0008"} <= {customer.customer_id for customer in gateway.list_customers()}
    assert list(gateway.list_customers("eight@example.com")) == [created]
    emulator.api.customers.delete(created.id)
    assert gateway.retrieve_customer(created.id).deleted


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc"])
def test_a_live_key_goes_to_stripe_only(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="live"):
        StripeGateway(key, "http://127.0.0.1:1")
    StripeGateway(key).close()
    monkeypatch.setenv("STRIPE_SECRET_KEY", key)
    open_gateway(load_settings(), "http://127.0.0.1:1").close()  # its base is ignored: the key is no emulator's


def test_without_a_key_and_without_an_emulator_there_is_no_gateway() -> None:
    with pytest.raises(SettingsError, match="STRIPE_SECRET_KEY"):
        open_gateway(load_settings())


def test_the_limits_hold_for_all_threads_together() -> None:
    limits = RateLimits(40, 20)
    started = time.monotonic()
    at: list[tuple[str, float]] = []

    def call(endpoint: str) -> None:
        limits.wait(endpoint)
        at.append((endpoint, time.monotonic() - started))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(call, ["a", "b", "c"] * 15))
    for endpoint in "abc":
        own = sorted(when for name, when in at if name == endpoint)
        assert most_in_a_second(own) <= 20 + 2 + 1
    assert most_in_a_second(sorted(when for _, when in at)) <= 40 + 4 + 1
    assert max(when for _, when in at) < 3


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= when < start + 1 for when in times) for start in times)


def test_a_process_has_one_pair_of_limits() -> None:
    assert shared_limits(80, 20) is shared_limits(80, 20)
