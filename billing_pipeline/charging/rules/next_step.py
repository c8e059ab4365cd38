"""What a run does next with one charge. Pure decisions.

Here: which call, question or record follows from our row and from what the run has learned. Not here: what Stripe's
invoice means (charge_at_stripe.py), doing it (charging/steps.py).
"""

from dataclasses import dataclass
from typing import TypeAlias

from billing_pipeline.charging.rules.charge_at_stripe import (
    Agrees,
    Contradicts,
    Foreign,
    PaymentUnderWay,
    Reached,
    meaning_of,
)
from billing_pipeline.charging.rules.charging import WORKABLE, Charge, Operation
from billing_pipeline.charging.rules.decisions import Look, Park, RaiseAttempt, Refuse, Stop
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.errors import Evidence

_NEXT_CALL = {"drafted": Operation.LINES, "lines_added": Operation.FINALIZE, "finalized": Operation.PAY}
"""State of a charge that agrees with Stripe's invoice -> the call that takes it further."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What this pass has learned from Stripe.

    Args:
        matches: ids of the live invoices there that carry our invoice_id; None while nobody has looked.
        invoice: the one that is ours, as last seen; None while nobody has asked.
        burnt: the operation whose key only repeats a stored 5xx.
        contradicted: the operation that Stripe refused as not fitting the object, and its answer.
    """

    matches: tuple[str, ...] | None = None
    invoice: StripeInvoice | None = None
    burnt: Operation | None = None
    contradicted: tuple[Operation, Evidence] | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Retrieve the invoice."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """Store the id of the one that exists."""

    stripe_invoice_id: str


@dataclass(frozen=True, slots=True)
class Call:
    """Do it at Stripe."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class Move:
    """Record the state that Stripe's invoice has reached, with its reason where there is one."""

    state: str
    reason_code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Stripe is at it: leave it for the next pass. `payment_intent_id`: the payment that is waited for."""

    reason_code: str
    payment_intent_id: str | None = None


Step: TypeAlias = Look | Ask | Adopt | Call | Move | Refuse | Park | RaiseAttempt | Wait | Stop


def next_step(charge: Charge, seen: Seen) -> Step:
    """What to do next, from our row and what Stripe said; the same for the same facts."""
    if charge.state not in WORKABLE:
        return Stop()
    others = [match for match in seen.matches or () if match != charge.stripe_invoice_id]
    if len(others) > (charge.stripe_invoice_id is None):
        known = f" beside {charge.stripe_invoice_id}" if charge.stripe_invoice_id else ""
        return Park("duplicate_at_stripe", f"more than one invoice there is ours: {', '.join(sorted(others))}{known}")
    if seen.matches is None:
        return Look()
    if charge.stripe_invoice_id is None:
        return Adopt(others[0]) if others else _call(Operation.CREATE, seen)
    if seen.invoice is None:
        return Ask()
    # a key that repeats a stored 5xx has had its answer: a refusal that the invoice shows is this attempt's
    meaning = meaning_of(charge, seen.invoice, refusal_is_of_this_attempt=seen.burnt is Operation.PAY)
    match meaning:
        case Reached("refused", str(code), str(reason)):
            return Refuse(code, reason)
        case Reached(state, reason_code, reason):
            return Move(state, reason_code, reason)
        case Foreign(code, reason) | Contradicts(code, reason):
            return Park(code, reason)
        case PaymentUnderWay(_, payment_intent_id):
            return Wait("payment_processing", payment_intent_id)
        case Agrees():
            return _call(_NEXT_CALL[charge.state], seen)


def _call(operation: Operation, seen: Seen) -> Call | Park | RaiseAttempt:
    if seen.contradicted is not None and seen.contradicted[0] is operation:
        return Park("refused_without_reason", str(seen.contradicted[1]))
    return RaiseAttempt() if seen.burnt is operation else Call(operation)
