"""Steps go forward, whatever Stripe's invoice shows; patience ends."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.rules.charging import STATES, TRANSITIONS, Charge
from billing_pipeline.events.rules.stripe_events import (
    HANDLED,
    Applied,
    Awaited,
    Ignored,
    invoice_step,
    is_our_id,
)
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.objects import InvoiceFacts

OURS = "0b8f7b52-5d3c-5a52-9c65-3b3c6e3f9a10"
STATUSES = ("draft", "open", "paid", "void", "uncollectible")
DECLINED = ("card", "card_declined", "insufficient_funds")


def charge(state: str, *, known: bool = True, attempt: int = 1) -> Charge:
    stripe = ("cus_1", "in_1") if known else (None, None)
    return Charge(OURS, "c", 4000, "usd", state, attempt, *stripe)


def facts(status: str, **over: object) -> InvoiceFacts:
    given = {
        "id": "in_1", "invoice_id": OURS, "customer_id": "cus_1", "currency": "usd", "total_minor": 4000,
        "has_lines": True, "refusal": None, "attempt_count": 1, **over,
    }  # fmt: skip
    count = int(str(given.pop("attempt_count")))
    return InvoiceFacts(StripeInvoice(status=status, **given), count, 0, ())  # type: ignore[arg-type]


def test_the_types_that_must_be_handled_are() -> None:
    invoice = "created finalized paid payment_succeeded payment_failed payment_action_required voided"
    named = [f"invoice.{name}" for name in f"{invoice} marked_uncollectible".split()]
    named += [f"customer.subscription.{name}" for name in ("created", "updated", "deleted")]
    named += ["payment_method.attached", "payment_method.detached", "customer.updated", "customer.deleted"]
    named += ["charge.refunded", "charge.dispute.created", "charge.dispute.closed", "credit_note.created"]
    assert set(named) <= set(HANDLED)


@pytest.mark.parametrize(("state", "status"), sorted(product(STATES, STATUSES)))
@pytest.mark.parametrize("refusal", [None, DECLINED])
def test_every_step_is_a_transition_and_taken_once(state: str, status: str, refusal: object) -> None:
    at_stripe = facts(status, refusal=refusal)
    step = invoice_step(charge(state), "some_reason", None, at_stripe)
    assert isinstance(step, ChargeChange | Applied)
    if isinstance(step, ChargeChange):
        assert (state, step.state) in TRANSITIONS
        again = invoice_step(charge(str(step.state)), step.reason_code, None, at_stripe)
        # an open invoice may show its refusal beside a charge that has only now become finalized
        assert again == Applied() or (step.state, refusal) == ("finalized", DECLINED)


@pytest.mark.parametrize(
    ("state", "status", "after"),
    [
        ("intended", "draft", "lines_added"), ("drafted", "open", "finalized"), ("lines_added", "paid", "paid"),
        ("finalized", "paid", "paid"), ("refused", "paid", "paid"), ("parked", "paid", "paid"),
        ("refused", "void", "void"), ("uncollectible", "paid", "paid"), ("uncollectible", "void", "void"),
        ("finalized", "draft", None), ("paid", "void", None), ("void", "paid", None), ("paid", "open", None),
        ("refused", "open", None), ("parked", "open", None), ("uncollectible", "open", None),
    ],
)  # fmt: skip
def test_what_stripe_shows_moves_the_charge(state: str, status: str, after: str | None) -> None:
    step = invoice_step(charge(state), None, None, facts(status))
    assert (step.state if isinstance(step, ChargeChange) else None) == after


def test_a_draft_without_our_lines_is_a_draft() -> None:
    for over in ({"has_lines": False, "total_minor": 0}, {"total_minor": 3999}):
        step = invoice_step(charge("intended"), None, None, facts("draft", **over))
        assert isinstance(step, ChargeChange)
        assert step.state == "drafted"


@pytest.mark.parametrize("attempt_count", [0, 1, 2, 3])
def test_a_refusal_counts_for_the_attempt_that_stripe_has_counted(attempt_count: int) -> None:
    at_stripe = facts("open", refusal=DECLINED, attempt_count=attempt_count)
    step = invoice_step(charge("finalized", attempt=2), None, None, at_stripe)
    if attempt_count < 2:
        assert step == Applied()
    else:
        assert isinstance(step, ChargeChange)
        assert (step.state, step.reason_code) == ("refused", "insufficient_funds")


def test_another_invoice_or_another_customers_is_no_business_of_the_charge() -> None:
    assert isinstance(invoice_step(charge("finalized"), None, None, facts("paid", id="in_2")), Ignored)
    unknown = charge("intended", known=False)
    assert isinstance(invoice_step(unknown, None, None, facts("paid")), Awaited)
    assert isinstance(invoice_step(unknown, None, "cus_2", facts("paid")), Ignored)
    assert isinstance(invoice_step(unknown, None, "cus_1", facts("paid")), ChargeChange)


@pytest.mark.parametrize("over", [{"total_minor": 4001}, {"currency": "eur"}, {"customer_id": "cus_2"}])
@pytest.mark.parametrize("status", ["open", "paid", "uncollectible"])
@pytest.mark.parametrize("state", sorted(STATES))
def test_other_facts_park_a_charge_that_is_not_final_and_never_pay_it(
    state: str, status: str, over: dict[str, Any]
) -> None:
    step = invoice_step(charge(state), None, None, facts(status, **over))
    if isinstance(step, ChargeChange):
        assert step.state == "parked"
        assert step.reason_code in ("total_differs", "customer_differs", "currency_differs")
    else:
        assert isinstance(step, Applied)


def test_a_charge_with_two_invoices_at_stripe_waits_for_a_person() -> None:
    assert isinstance(invoice_step(charge("parked"), "duplicate_at_stripe", None, facts("paid")), Applied)


@given(st.text())
def test_only_an_id_of_our_making_is_ours(text: str) -> None:
    assert not is_our_id(text) or len(text) == 36


def test_ids_are_compared_as_they_are_written() -> None:
    assert is_our_id(OURS)
    assert not is_our_id(OURS.upper())
    assert not is_our_id(None)
