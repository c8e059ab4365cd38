"""Charging one invoice: states, transitions, idempotency keys, and the next step. Pure decisions.

Here: what follows from our row and from what Stripe says. Not here: the request's content (charge_request.py), what an
error means (stripe_errors.py), doing it (charging/steps.py).

States of billing.stripe_charges (enforced there by billing.charge_transitions; a test holds the two together):

    intended -> drafted -> lines_added -> finalized -> paid
                                              |  ^
                                              v  |        (a later attempt)
                                            refused

- intended: the intent is frozen, nothing is known to exist at Stripe. drafted: a draft is. lines_added: with our lines
  and our total. finalized: it is open at Stripe and may be paid. refused: the attempt was refused for a named reason.
- Asking Stripe may show that the invoice is further than we knew, so every state may skip ahead.
- void, uncollectible: so at Stripe, from any state before paid; an uncollectible invoice may still be paid or voided.
- parked: from any state that is not final; a person decides, and it may leave to any state.

- A refused charge is tried again (finalized) with the next attempt, when its schedule, a new payment method or a person
  makes it due; charging/rules/retry_schedule.py says when.

Idempotency keys. Attempt n of invoice I uses `I:create`, `I:lines`, `I:finalize` (`I:create:n` … from the second
attempt on) and `I:pay:n`. A number rises only when it is known that the previous attempt is over: it was refused, a
person looked at it, or Stripe repeated a stored 5xx under its key (so that request has ended, and the key will never
give anything else) and the object shows no trace of it. Postgres holds it to that (billing.check_attempt).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from billing_pipeline.charging.rules.decisions import Look, Park, RaiseAttempt, Refuse, Stop
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.errors import Evidence, Outcome, classify

_STAGES = {
    "intended": 0,
    "drafted": 1,
    "lines_added": 2,
    "finalized": 3,
    "refused": 3,
    "parked": 3,
    "paid": 4,
    "void": 4,
    "uncollectible": 4,
}
STATES = frozenset(_STAGES)
WORKABLE = ("intended", "drafted", "lines_added", "finalized")
"""States that a run goes on from. A refused charge waits for its next attempt, a parked one for a person."""

TRANSITIONS: frozenset[tuple[str, str]] = frozenset(
    {
        (before, after)
        for before, from_stage in _STAGES.items()
        for after, to_stage in _STAGES.items()
        if before != after and from_stage < 4 and (to_stage >= from_stage or before == "parked")
    }
    | {("uncollectible", "paid"), ("uncollectible", "void")}
)


class Operation(StrEnum):
    """The calls that change something at Stripe."""

    CREATE = "create"
    LINES = "lines"
    FINALIZE = "finalize"
    PAY = "pay"


def idempotency_key(invoice_id: str, operation: Operation, attempt: int) -> str:
    """The key of an attempt's call; never random, so that every process that repeats it means the same request."""
    if operation is Operation.PAY or attempt > 1:
        return f"{invoice_id}:{operation}:{attempt}"
    return f"{invoice_id}:{operation}"


def void_key(invoice_id: str, stripe_invoice_id: str, attempt: int) -> str:
    """The key of a call that voids an invoice there, or deletes its draft."""
    return f"{invoice_id}:void:{stripe_invoice_id}:{attempt}"


def customer_key(customer_id: str, attempt: int = 1) -> str:
    """The key under which a customer is created."""
    return f"customer:{customer_id}:create" + (f":{attempt}" if attempt > 1 else "")


@dataclass(frozen=True, slots=True)
class Charge:
    """Our row: the intent and what is known of it. `amount_minor` in minor units of `currency`."""

    invoice_id: str
    customer_id: str
    amount_minor: int
    currency: str
    state: str
    attempt: int
    stripe_customer_id: str | None
    stripe_invoice_id: str | None


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
    """Record the state that Stripe's invoice has reached."""

    state: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Stripe is at it: leave it for the next pass."""

    reason_code: str


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
    return _foreign(charge, seen.invoice) or _by_status(charge, seen, seen.invoice)


def _foreign(charge: Charge, invoice: StripeInvoice) -> Park | None:
    """Whether what has our id stored is not what we made."""
    for name, ours, theirs in (
        ("invoice", charge.invoice_id, invoice.invoice_id),
        ("customer", charge.stripe_customer_id, invoice.customer_id),
        ("currency", charge.currency, invoice.currency),
    ):
        if ours != theirs:
            return Park(f"{name}_differs", f"{invoice.id} has {name} {theirs}, ours is {ours}")
    return None


def _by_status(charge: Charge, seen: Seen, invoice: StripeInvoice) -> Step:
    if invoice.status == "void":
        return Move("void")
    if invoice.status == "draft":
        return _draft(charge, seen, invoice)
    if invoice.status not in ("open", "paid", "uncollectible"):
        return Park("status_unknown", f"{invoice.id} is {invoice.status}")
    # `total`, not `amount_due`: an applied balance or a total below the minimum charge changes what is due, not what
    # was billed (https://docs.stripe.com/billing/customer/balance)
    if invoice.total_minor != charge.amount_minor:
        return _total_differs(charge, invoice)
    if invoice.status != "open":
        return Move(invoice.status)
    if charge.state != "finalized":
        return Move("finalized")
    if invoice.payment_status in ("processing", "requires_capture", "succeeded"):
        return Wait("payment_processing")
    if seen.burnt is Operation.PAY and invoice.refusal is not None:
        return _refusal(invoice.refusal)
    return _call(Operation.PAY, seen)


def _draft(charge: Charge, seen: Seen, invoice: StripeInvoice) -> Step:
    if charge.state == "finalized":
        return Park("status_unknown", f"{invoice.id} was finalised and is a draft")
    if not invoice.has_lines:
        if charge.state == "lines_added":
            return Park("lines_missing", f"the lines of {invoice.id} were removed at Stripe")
        return _call(Operation.LINES, seen)
    if invoice.total_minor != charge.amount_minor:
        return _total_differs(charge, invoice)
    if charge.state != "lines_added":
        return Move("lines_added")
    return _call(Operation.FINALIZE, seen)


def _total_differs(charge: Charge, invoice: StripeInvoice) -> Park:
    return Park(
        "total_differs",
        f"{invoice.id} ({invoice.status}) has a total of {invoice.total_minor}, ours is {charge.amount_minor}",
    )


def _call(operation: Operation, seen: Seen) -> Call | Park | RaiseAttempt:
    if seen.contradicted is not None and seen.contradicted[0] is operation:
        return Park("refused_without_reason", str(seen.contradicted[1]))
    return RaiseAttempt() if seen.burnt is operation else Call(operation)


def _refusal(refusal: tuple[str, str | None, str | None]) -> Refuse | Park:
    kind, code, decline_code = refusal
    evidence = Evidence(kind, code, decline_code, message="last payment error of the payment intent")
    verdict = classify(evidence)
    if verdict.outcome is Outcome.REFUSED:
        return Refuse(verdict.reason_code, str(evidence))
    return Park(verdict.reason_code, str(evidence))
