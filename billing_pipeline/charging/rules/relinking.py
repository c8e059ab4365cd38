"""What becomes of a charge whose customer at Stripe was deleted, by what is left of it there. Pure.

What was never finalised at Stripe was never issued: it begins anew at the other customer, under its number. What was
finalised there was issued to the customer that is gone: it is voided, and its period billed again under a number of its
own. What is paid, or may be on its way, is left as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from billing_pipeline.charging.rules.charge_at_stripe import payment_under_way
from billing_pipeline.core.money import format_minor
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice


@dataclass(frozen=True, slots=True)
class BeginsAnew:
    """Nothing was issued. `drafts` are still there, and are deleted first."""

    drafts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsBilledAgain:
    """It is open at the customer that is gone: void it there and here."""


@dataclass(frozen=True, slots=True)
class StaysThere:
    """Nothing can be done about it by this; the text says what can."""

    why: str


Becomes: TypeAlias = BeginsAnew | IsBilledAgain | StaysThere


def what_becomes_of_it(found: Sequence[StripeInvoice]) -> Becomes:
    """What follows from the invoices at Stripe that carry the charge's invoice id, as they are now."""
    for invoice in found:
        if why := _stays(invoice):
            return StaysThere(f"{invoice.id} {why}")
    if any(invoice.status != "draft" for invoice in found):
        return IsBilledAgain()
    return BeginsAnew(tuple(invoice.id for invoice in found))


def _stays(invoice: StripeInvoice) -> str | None:
    if invoice.status in ("paid", "void", "uncollectible"):
        return f"is {invoice.status} at Stripe"
    if payment_under_way(invoice):
        return f"has a payment that is {invoice.payment_status}: say it again when that has ended"
    if invoice.paid_minor:
        paid, total = (format_minor(amount, invoice.currency) for amount in (invoice.paid_minor, invoice.total_minor))
        return f"is paid in part, {paid} of {total}: credit the rest, or write it off: `billing charges write-off`"
    return None
