"""What Stripe's invoice means for a charge is one answer, whoever looked: a run, an event, a person."""

from dataclasses import replace
from itertools import product

import pytest

from billing_pipeline.charging.rules.charge_at_stripe import (
    Agrees,
    Contradicts,
    Foreign,
    Meaning,
    PaymentUnderWay,
    Reached,
    meaning_of,
    resumed_state,
)
from billing_pipeline.charging.rules.charge_change import change_by
from billing_pipeline.charging.rules.charging import STATES, TRANSITIONS, WORKABLE, Charge, Operation
from billing_pipeline.charging.rules.decisions import Park, RaiseAttempt, Refuse
from billing_pipeline.charging.rules.next_step import Call, Move, Seen, Wait, next_step
from billing_pipeline.events.rules.stripe_events import Applied, invoice_step
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.objects import InvoiceFacts

FINALIZED = Charge("inv-1", "c-1", 4000, "usd", "finalized", 1, "cus_1", "in_1")
OPEN = StripeInvoice("in_1", "inv-1", "cus_1", "open", "usd", 4000, has_lines=True)
DECLINED = ("card", "card_declined", "insufficient_funds")
INVOICES = [
    replace(OPEN, status=status, total_minor=total, has_lines=has_lines, payment_status=payment, **over)  # type: ignore[arg-type]
    for status, total, has_lines, payment, over in product(
        ("draft", "open", "paid", "void", "uncollectible", "frozen"),
        (4000, 3999),
        (True, False),
        (None, "processing"),
        ({}, {"customer_id": "cus_2"}, {"currency": "eur"}, {"invoice_id": "inv-2"}),
    )
]


@pytest.mark.parametrize("state", ["drafted", "lines_added", "finalized"])
def test_a_run_does_what_the_meaning_says(state: str) -> None:
    charge = replace(FINALIZED, state=state)
    for invoice in INVOICES:
        meaning, step = meaning_of(charge, invoice), next_step(charge, Seen(matches=(), invoice=invoice))
        expected: dict[type[Meaning], type] = {
            Agrees: Call, PaymentUnderWay: Wait, Reached: Move, Foreign: Park, Contradicts: Park,
        }  # fmt: skip
        assert type(step) is expected[type(meaning)], (invoice, meaning)
        if isinstance(meaning, Reached):
            assert step == Move(meaning.state, meaning.reason_code, meaning.reason)


@pytest.mark.parametrize("state", sorted(STATES))
def test_an_event_changes_what_the_meaning_says_or_leaves_it_to_a_run(state: str) -> None:
    charge = replace(FINALIZED, state=state)
    for invoice in INVOICES:
        meaning = meaning_of(charge, invoice)
        step = invoice_step(charge, "a_reason", None, InvoiceFacts(invoice, 0, 0, ()))
        change = change_by(meaning, charge, invoice, "stripe.invoice.event")
        if change is None or (isinstance(meaning, Contradicts) and meaning.only_under_lock):
            assert isinstance(step, Applied), (invoice, meaning)
        else:
            assert step == replace(change, stripe_customer_id="cus_1", stripe_invoice_id="in_1")


@pytest.mark.parametrize("state", sorted(STATES))
def test_every_change_is_an_allowed_transition(state: str) -> None:
    charge = replace(FINALIZED, state=state)
    for invoice in INVOICES:
        change = change_by(meaning_of(charge, invoice, refusal_is_of_this_attempt=True), charge, invoice, "x")
        if change is not None:
            assert (state, change.state) in TRANSITIONS, invoice


def test_a_refusal_counts_only_for_the_attempt_that_it_answers() -> None:
    declined = replace(OPEN, refusal=DECLINED)
    assert meaning_of(FINALIZED, declined) == Agrees()
    refused = meaning_of(FINALIZED, declined, refusal_is_of_this_attempt=True)
    assert isinstance(refused, Reached)
    assert (refused.state, refused.reason_code) == ("refused", "insufficient_funds")


@pytest.mark.parametrize("payment_status", ["processing", "requires_capture", "succeeded"])
def test_a_payment_under_way_is_neither_refused_nor_asked_for_again(payment_status: str) -> None:
    under_way = replace(OPEN, payment_status=payment_status, refusal=DECLINED)
    expected = PaymentUnderWay(payment_status)
    assert meaning_of(FINALIZED, under_way, refusal_is_of_this_attempt=True) == expected
    assert invoice_step(FINALIZED, None, None, InvoiceFacts(under_way, 1, 0, ())) == Applied()
    for burnt in (None, Operation.PAY):
        step = next_step(FINALIZED, Seen(matches=(), invoice=under_way, burnt=burnt))
        assert not isinstance(step, Call | Refuse | RaiseAttempt)


def test_a_contradiction_parks_neither_what_has_ended_nor_what_is_with_a_person_already() -> None:
    other = replace(OPEN, status="paid", total_minor=1)
    for state in STATES:
        change = change_by(Contradicts("total_differs", "why"), replace(FINALIZED, state=state), other, "x")
        assert (change is None) == (state in ("parked", "paid", "void", "uncollectible"))


@pytest.mark.parametrize(
    ("state", "invoice", "resumed"),
    [
        ("refused", OPEN, "finalized"),
        ("parked", OPEN, "finalized"),
        ("parked", replace(OPEN, total_minor=1), "drafted"),
        ("parked", replace(OPEN, status="draft"), "drafted"),
        ("parked", None, "drafted"),
    ],
)
def test_a_charge_is_taken_up_again_from_what_stripe_shows(
    state: str, invoice: StripeInvoice | None, resumed: str
) -> None:
    assert resumed_state(replace(FINALIZED, state=state), invoice) == resumed
    assert resumed in WORKABLE


def test_a_parked_charge_that_has_nothing_at_stripe_is_an_intent_again() -> None:
    assert resumed_state(replace(FINALIZED, state="parked", stripe_invoice_id=None), None) == "intended"


def test_the_page_of_an_invoice_that_is_not_ours_is_kept_for_no_mail() -> None:
    for invoice in INVOICES:
        shown = replace(invoice, page_url="https://invoice.stripe.com/i/1", pdf_url="https://pay.stripe.com/1/pdf")
        meaning = meaning_of(FINALIZED, shown)
        change = change_by(meaning, FINALIZED, shown, "x")
        if change is not None and isinstance(meaning, Foreign | Contradicts):
            assert (change.page_url, change.pdf_url) == (None, None), invoice
        elif change is not None:
            assert change.page_url == shown.page_url, invoice
