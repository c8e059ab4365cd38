"""Events that say what the books have need no question; what is new, or was put back by a person, is asked about."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.events.rules.known_already import PaidHere, is_later, says_nothing_new
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.events.world import EventWorld

PAID = Charge("inv-1", "c-1", 4000, "usd", "paid", 1, "cus_1", "in_1")
IN_FULL = PaidHere(4000, {"inpay_1": 4000})
UNPAID = PaidHere(0, {"inpay_1": 0})
NOTHING = PaidHere(0, {})


def said(status: str, **over: Any) -> dict[str, Any]:
    return {
        "object": "invoice", "id": "in_1", "status": status, "customer": "cus_1", "currency": "usd", "total": 4000,
        "metadata": {"invoice_id": "inv-1"}, "amount_paid": 4000 if status == "paid" else 0, "attempt_count": 1, **over,
    }  # fmt: skip


def questions(world: EventWorld) -> int:
    """Calls that processing everything which has come in makes."""
    world.sweep()
    gateway = world.gateway()
    world.process(api=gateway)
    return gateway.calls_made


def test_the_events_of_invoices_that_we_charged_ourselves_ask_nothing_but_once_for_a_refusal(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("b"), Bill("c", card="pm_card_chargeCustomerFail"))
    world.catch_up()  # the customers' own events
    world.charge()
    assert questions(world) == 1
    assert world.states() == {"a": ("paid", None), "b": ("paid", None), "c": ("refused", "declined")}
    paid = world.warehouse.rows("SELECT paid_minor, status FROM billing.stripe_payments WHERE status = 'paid'")
    assert [row["paid_minor"] for row in paid] == [4000, 4000]
    assert {row["state"] for row in world.work()} <= {"applied", "ignored"}


def test_a_payment_that_no_run_made_is_asked_about(world: EventWorld) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.catch_up()
    world.stripe.api.invoices.pay(world.stripe_id("a"), {"paid_out_of_band": True})
    assert questions(world) > 0
    assert world.states() == {"a": ("paid", None)}


def test_an_event_that_a_person_puts_back_is_asked_about(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.catch_up()
    world.replay_all(type="invoice.paid")
    assert questions(world) == 1


def test_what_happened_after_our_row_was_written_is_asked_about(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.catch_up()
    [paid] = [event for event in world.at_stripe() if event["type"] == "invoice.paid"]
    world.deliver([{**paid, "id": "evt_known"}])
    assert questions(world) == 0
    world.deliver([{**paid, "id": "evt_later", "created": int(time.time()) + 60}])
    assert questions(world) == 1


def test_later_is_after_our_row_by_more_than_clocks_differ() -> None:
    known_at = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
    assert not is_later(known_at - timedelta(days=1), known_at)
    assert not is_later(known_at + timedelta(seconds=5), known_at)
    assert is_later(known_at + timedelta(seconds=6), known_at)
    assert is_later(None, known_at)


@pytest.mark.parametrize(
    ("type_", "body", "charge", "paid", "known"),
    [
        ("invoice.paid", said("paid"), PAID, IN_FULL, True),
        ("invoice.paid", said("paid"), PAID, NOTHING, False),
        ("invoice.paid", said("paid", amount_paid_off_stripe=4000), PAID, NOTHING, True),
        ("invoice.paid", said("paid"), replace(PAID, state="finalized"), NOTHING, False),
        ("invoice.paid", said("paid"), replace(PAID, state="parked"), IN_FULL, False),
        ("invoice.paid", said("paid", total=3999), PAID, IN_FULL, False),
        ("invoice.paid", said("paid", customer="cus_2"), PAID, IN_FULL, False),
        ("invoice.paid", said("paid", metadata={}), PAID, IN_FULL, False),
        ("invoice.paid", said("paid", latest_revision="in_2"), PAID, IN_FULL, False),
        ("invoice.finalized", said("open"), PAID, IN_FULL, True),
        ("invoice.finalized", said("open"), replace(PAID, state="lines_added"), NOTHING, False),
        ("invoice.created", said("draft", total=0), PAID, IN_FULL, True),
        ("invoice.created", said("draft", total=0), replace(PAID, state="drafted"), NOTHING, False),
        ("invoice.payment_failed", said("open"), replace(PAID, state="refused"), UNPAID, True),
        ("invoice.payment_failed", said("open"), replace(PAID, state="refused"), NOTHING, False),
        ("invoice.payment_failed", said("open", attempt_count=2), replace(PAID, state="refused"), UNPAID, False),
        ("invoice.finalized", said("open"), replace(PAID, state="refused"), UNPAID, True),
        ("invoice.payment_failed", said("open"), replace(PAID, state="finalized"), NOTHING, False),
        ("invoice.voided", said("void"), replace(PAID, state="refused"), NOTHING, False),
        ("invoice.voided", said("void"), replace(PAID, state="void"), NOTHING, True),
        ("invoice.finalized", {}, PAID, IN_FULL, False),
    ],
)
def test_only_what_is_here_in_every_part_is_known(
    type_: str, body: dict[str, Any], charge: Charge, paid: PaidHere, known: bool
) -> None:
    assert says_nothing_new(type_, body, charge, paid) is known


@pytest.mark.parametrize(
    ("payment", "known"),
    [
        ({"id": "inpay_1", "status": "paid", "amount_paid": 4000}, True),
        ({"id": "inpay_1", "status": "paid", "amount_paid": 1000}, False),
        ({"id": "inpay_2", "status": "paid", "amount_paid": 4000}, False),
        ({"id": "inpay_1", "status": "open", "amount_paid": None}, False),
    ],
)
def test_a_payment_is_known_by_its_id_and_amount(payment: dict[str, Any], known: bool) -> None:
    assert says_nothing_new("invoice_payment.paid", {"object": "invoice_payment", **payment}, PAID, IN_FULL) is known
