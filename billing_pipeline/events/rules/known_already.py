"""Whether an event says nothing that our books don't have. Pure.

An event's body is signed, so what it says was true once. It is never written down, because it may be old; but if our
rows, which were written from what Stripe showed, are as far, there is nothing to ask. Whatever differs in any part, or
happened after our rows were written, is asked about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.events.rules.stripe_events import CLOCKS_DIFFER


@dataclass(frozen=True, slots=True)
class PaidHere:
    """What our books have of an invoice's payments at Stripe: the sum that was paid, and ids with the amounts paid."""

    paid_minor: int
    payments: Mapping[str, int]


_ENDED = frozenset({"paid", "void", "uncollectible", "refused"})
_REFUSALS = frozenset({"invoice.payment_failed", "invoice.payment_action_required"})


def is_later(created: datetime | None, known_at: datetime) -> bool:
    """Whether what an event tells of may have happened after our row was last written."""
    return created is None or created > known_at + CLOCKS_DIFFER


def says_nothing_new(type_: str, said: Mapping[str, Any], charge: Charge, paid: PaidHere) -> bool:
    """Whether the charge and its payments are as far as the event's object.

    Args:
        type_: the event's.
        said: the object in its body: an invoice, or the payment of one.
        charge: our row.
        paid: its payments, as our books have them.
    """
    if said.get("object") == "invoice_payment":
        return bool(said.get("status") == "paid" and paid.payments.get(str(said.get("id"))) == said.get("amount_paid"))
    return _is_the_charges(said, charge) and _is_as_far(type_, said, charge, paid)


def _is_the_charges(said: Mapping[str, Any], charge: Charge) -> bool:
    metadata = said.get("metadata")
    theirs = (said.get("id"), said.get("customer"), said.get("currency"))
    ours = (charge.stripe_invoice_id, charge.stripe_customer_id, charge.currency)
    is_ours = isinstance(metadata, dict) and bool(metadata.get("invoice_id") == charge.invoice_id)
    is_revised = said.get("latest_revision") is not None
    has_our_total = said.get("status") == "draft" or bool(said.get("total") == charge.amount_minor)
    return is_ours and not is_revised and theirs == ours and has_our_total


def _is_as_far(type_: str, said: Mapping[str, Any], charge: Charge, paid: PaidHere) -> bool:
    match said.get("status"):
        case _ if charge.state not in _ENDED:
            return False  # a run was cut off, a bank or a person is waited for: whatever can be learned helps
        case "paid":
            by_stripe = (said.get("amount_paid") or 0) - (said.get("amount_paid_off_stripe") or 0)
            return charge.state == "paid" and paid.paid_minor == by_stripe
        case "void" | "uncollectible" as status:
            return bool(charge.state == status)
        case "draft":
            return True
        case "open" if charge.state == "refused":
            # its open payment is written down by the first look
            is_of_then = type_ not in _REFUSALS or int(said.get("attempt_count") or 0) <= charge.attempt
            return is_of_then and bool(paid.payments) and paid.paid_minor >= (said.get("amount_paid") or 0)
        case "open":
            return True
    return False
