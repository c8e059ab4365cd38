"""A charge: its states, the transitions between them, and the idempotency keys of its calls. Pure.

Not here: what Stripe's invoice means for it (charge_at_stripe.py), what is done next (next_step.py), what an error
means (stripe_gateway/rules/errors.py), the request's content (invoicing/rules/charge_request.py).

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
from hashlib import sha256

STAGES = {
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
"""State -> how far on it is; Stripe's word moves a charge forward only."""
STATES = frozenset(STAGES)
WORKABLE = ("intended", "drafted", "lines_added", "finalized")
"""States that a run goes on from. A refused charge waits for its next attempt, a parked one for a person."""

TRANSITIONS: frozenset[tuple[str, str]] = frozenset(
    {
        (before, after)
        for before, from_stage in STAGES.items()
        for after, to_stage in STAGES.items()
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


def write_off_key(invoice_id: str, stripe_invoice_id: str, attempt: int) -> str:
    """The key of a call that gives an invoice up there."""
    return f"{invoice_id}:write_off:{stripe_invoice_id}:{attempt}"


def customer_key(customer_id: str, attempt: int = 1, *, instead_of: str | None = None) -> str:
    """The key under which a customer is created; `instead_of`: the one at Stripe that was deleted.

    It has a digest in the place of the platform's id, which may be of any script and as long as a key may be. Under
    the key of the one before Stripe would repeat that one's answer.
    """
    digest = sha256(customer_id.encode()).hexdigest()
    instead = f":instead-of:{instead_of}" if instead_of else ""
    return f"customer:{digest}{instead}:create" + (f":{attempt}" if attempt > 1 else "")


@dataclass(frozen=True, slots=True)
class Charge:
    """Our row: the intent and what is known of it. `amount_minor` in minor units of `currency`.

    `bank_payment_id`: the payment intent of this attempt whose answer takes days (a bank debit, a transfer); None:
    there is none. `key_may_be_gone`: the attempt began so long ago that Stripe may have forgotten its key, and would
    execute the same call again.
    """

    invoice_id: str
    customer_id: str
    amount_minor: int
    currency: str
    state: str
    attempt: int
    stripe_customer_id: str | None
    stripe_invoice_id: str | None
    bank_payment_id: str | None = None
    key_may_be_gone: bool = False
