"""What is done next with a charge, for every state of ours and of Stripe's."""

from dataclasses import replace

import pytest

from billing_pipeline.charging.rules import charging
from billing_pipeline.charging.rules.charging import (
    STATES,
    TRANSITIONS,
    Charge,
    Operation,
    customer_key,
    idempotency_key,
)
from billing_pipeline.charging.rules.decisions import Look, Park, RaiseAttempt, Refuse, Stop
from billing_pipeline.charging.rules.next_step import Adopt, Ask, Call, Move, Seen, Step, Wait, next_step
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.errors import Evidence

INTENT = Charge("inv-1", "c-1", 4000, "usd", "intended", 1, "cus_1", None)
DRAFTED = replace(INTENT, state="drafted", stripe_invoice_id="in_1")
LINES_ADDED = replace(DRAFTED, state="lines_added")
FINALIZED = replace(DRAFTED, state="finalized")

EMPTY = StripeInvoice("in_1", "inv-1", "cus_1", "draft", "usd", 0, has_lines=False)
DRAFT = replace(EMPTY, total_minor=4000, has_lines=True)
OPEN = replace(DRAFT, status="open", payment_status="requires_payment_method")
PROCESSING = replace(OPEN, payment_status="processing")
SUCCEEDED = replace(OPEN, payment_status="succeeded")
PAID = replace(DRAFT, status="paid", payment_status="succeeded")
VOID = replace(DRAFT, status="void")
VOIDED_THERE = Move("void", "voided_at_stripe", f"{VOID.id} was voided there, and not by us")
UNCOLLECTIBLE = replace(DRAFT, status="uncollectible")
DECLINED = replace(OPEN, refusal=("card", "card_declined", "insufficient_funds"))
ODD_REFUSAL = replace(OPEN, refusal=("card", "card_declined", "unheard_of"))
NOT_AS_BELIEVED = Evidence("invalid_request", None, None, 400, message="Invoice is already paid")


def seen(invoice: StripeInvoice | None, **more: object) -> Seen:
    return replace(Seen(matches=(), invoice=invoice), **more)  # type: ignore[arg-type]


STEPS: list[tuple[str, Charge, Seen, Step]] = [
    ("nothing is created before somebody looked", INTENT, Seen(), Look()),
    ("none there: create", INTENT, seen(None), Call(Operation.CREATE)),
    ("one there: adopt it", INTENT, Seen(matches=("in_1",)), Adopt("in_1")),
    ("an id, nothing asked: ask", DRAFTED, seen(None), Ask()),
    ("its own id among the matches is no duplicate", DRAFTED, Seen(matches=("in_1",)), Ask()),
    ("an empty draft gets its lines", DRAFTED, seen(EMPTY), Call(Operation.LINES)),
    ("a draft with our total has its lines", DRAFTED, seen(DRAFT), Move("lines_added")),
    ("lines and total compared: finalise", LINES_ADDED, seen(DRAFT), Call(Operation.FINALIZE)),
    ("open: record it before paying", LINES_ADDED, seen(OPEN), Move("finalized")),
    ("open and far behind: record it", DRAFTED, seen(OPEN), Move("finalized")),
    ("finalised and open: pay", FINALIZED, seen(OPEN), Call(Operation.PAY)),
    ("paid", FINALIZED, seen(PAID), Move("paid")),
    ("paid at finalisation: nothing was due", LINES_ADDED, seen(PAID), Move("paid")),
    ("paid and our id was lost", DRAFTED, seen(PAID), Move("paid")),
    ("voided there", FINALIZED, seen(VOID), VOIDED_THERE),
    ("a void draft needs no total", DRAFTED, seen(replace(VOID, total_minor=0)), VOIDED_THERE),
    ("uncollectible there", FINALIZED, seen(UNCOLLECTIBLE), Move("uncollectible")),
    ("a payment under way is waited for", FINALIZED, seen(PROCESSING), Wait("payment_processing")),
    ("money in, invoice not yet", FINALIZED, seen(SUCCEEDED), Wait("payment_processing")),
    ("an old refusal does not keep a new attempt from being made", FINALIZED, seen(DECLINED), Call(Operation.PAY)),
    ("a key that repeats a stored 5xx is left: create", INTENT, seen(None, burnt=Operation.CREATE), RaiseAttempt()),
    ("… lines", DRAFTED, seen(EMPTY, burnt=Operation.LINES), RaiseAttempt()),
    ("… finalize", LINES_ADDED, seen(DRAFT, burnt=Operation.FINALIZE), RaiseAttempt()),
    ("… pay", FINALIZED, seen(OPEN, burnt=Operation.PAY), RaiseAttempt()),
    ("a burnt key, but its call took effect", DRAFTED, seen(DRAFT, burnt=Operation.LINES), Move("lines_added")),
    ("a burnt key of another call does not matter", FINALIZED, seen(OPEN, burnt=Operation.LINES), Call(Operation.PAY)),
]  # fmt: skip

PARKED: list[tuple[str, Charge, Seen, str]] = [
    ("two there, none ours", INTENT, Seen(matches=("in_1", "in_2")), "duplicate_at_stripe"),
    ("a second one beside ours", FINALIZED, Seen(matches=("in_1", "in_2"), invoice=OPEN), "duplicate_at_stripe"),
    ("one that is not ours", DRAFTED, Seen(matches=("in_2",)), "duplicate_at_stripe"),
    ("somebody else's metadata", DRAFTED, seen(replace(DRAFT, invoice_id="inv-2")), "invoice_differs"),
    ("another customer", DRAFTED, seen(replace(DRAFT, customer_id="cus_2")), "customer_differs"),
    ("another currency", DRAFTED, seen(replace(DRAFT, currency="eur")), "currency_differs"),
    ("another total on the draft", DRAFTED, seen(replace(DRAFT, total_minor=4001)), "total_differs"),
    ("another total, already open", FINALIZED, seen(replace(OPEN, total_minor=1)), "total_differs"),
    ("another total, already paid", FINALIZED, seen(replace(PAID, total_minor=1)), "total_differs"),
    ("the lines are gone", LINES_ADDED, seen(EMPTY), "lines_missing"),
    ("a finalised invoice that is a draft", FINALIZED, seen(DRAFT), "status_unknown"),
    ("a status that nobody knows", FINALIZED, seen(replace(OPEN, status="frozen")), "status_unknown"),
    ("no status at all", DRAFTED, seen(replace(OPEN, status=None)), "status_unknown"),
    ("refused as not fitting, and it does fit", FINALIZED,
     seen(OPEN, contradicted=(Operation.PAY, NOT_AS_BELIEVED)), "refused_without_reason"),
    ("a refusal that is in no table", FINALIZED, seen(ODD_REFUSAL, burnt=Operation.PAY), "not_in_error_table"),
]  # fmt: skip


@pytest.mark.parametrize(("charge", "known", "step"), [row[1:] for row in STEPS], ids=[row[0] for row in STEPS])
def test_next_step(charge: Charge, known: Seen, step: Step) -> None:
    assert next_step(charge, known) == step


@pytest.mark.parametrize(("charge", "known", "code"), [row[1:] for row in PARKED], ids=[row[0] for row in PARKED])
def test_what_does_not_fit_parks_with_a_reason(charge: Charge, known: Seen, code: str) -> None:
    step = next_step(charge, known)
    assert isinstance(step, Park)
    assert step.reason_code == code
    assert step.reason


def test_a_refusal_seen_behind_a_burnt_key_is_recorded_without_paying_again() -> None:
    step = next_step(FINALIZED, seen(DECLINED, burnt=Operation.PAY))
    assert isinstance(step, Refuse)
    assert step.reason_code == "insufficient_funds"


@pytest.mark.parametrize("state", sorted(STATES - set(charging.WORKABLE)))
def test_refused_parked_and_final_charges_are_left_alone(state: str) -> None:
    for invoice in (None, EMPTY, DRAFT, OPEN, PAID):
        assert next_step(replace(FINALIZED, state=state), seen(invoice)) == Stop()


def test_after_a_contradiction_the_object_decides() -> None:
    contradicted = (Operation.PAY, NOT_AS_BELIEVED)
    assert next_step(FINALIZED, seen(PAID, contradicted=contradicted)) == Move("paid")
    assert next_step(FINALIZED, seen(None, contradicted=contradicted)) == Ask()


def test_every_move_that_is_decided_is_an_allowed_transition() -> None:
    for charge in (INTENT, DRAFTED, LINES_ADDED, FINALIZED):
        for invoice in (EMPTY, DRAFT, OPEN, PAID, VOID, UNCOLLECTIBLE):
            step = next_step(replace(charge, stripe_invoice_id="in_1"), seen(invoice))
            if isinstance(step, Move):
                assert (charge.state, step.state) in TRANSITIONS


def test_final_states_stay_final() -> None:
    assert not [move for move in TRANSITIONS if move[0] in ("paid", "void")]
    assert {after for before, after in TRANSITIONS if before == "uncollectible"} == {"paid", "void"}
    assert not [move for move in TRANSITIONS if move[1] == "intended" and move[0] != "parked"]


def test_keys_are_derived_and_count_the_attempt() -> None:
    assert [idempotency_key("I", operation, 1) for operation in Operation] == [
        "I:create",
        "I:lines",
        "I:finalize",
        "I:pay:1",
    ]
    assert [idempotency_key("I", operation, 2) for operation in Operation] == [
        "I:create:2",
        "I:lines:2",
        "I:finalize:2",
        "I:pay:2",
    ]
    assert customer_key("c-1", 2) == f"{customer_key('c-1')}:2"


@pytest.mark.parametrize("customer_id", ["c-1", "Zoë", "顧客1", "emoji😀", 'a"b', "a b", "L" * 255, "客" * 255])
def test_a_customers_key_is_short_and_ascii_and_its_own_whatever_the_platform_calls_the_customer(
    customer_id: str,
) -> None:
    key = customer_key(customer_id, 5)
    assert key.isascii()
    assert len(key) <= 255
    assert key == customer_key(customer_id, 5) != customer_key(f"{customer_id[:-1]}x", 5)
