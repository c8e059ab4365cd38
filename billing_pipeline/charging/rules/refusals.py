"""What a refused payment is, for whoever decides what follows: whose, for which plan and book, and why. Pure.

Sources: https://docs.stripe.com/declines/codes (which declines are final), https://docs.stripe.com/payments/ach-direct-debit
(returned debits).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from billing_pipeline.charging.rules.retry_schedule import MAY_SUCCEED_LATER, WAITS_FOR


class Cause(StrEnum):
    """Why a payment was refused, as far as it makes a difference to what follows."""

    SOFT = "soft"
    """A card's refusal that may pass."""
    DEBIT = "debit"
    """The same of a bank debit, whose answers take days, and which may be presented twice more only."""
    HARD = "hard"
    """Final for this payment method: it is never tried again with it."""
    NO_METHOD = "no_method"
    """There is nothing to charge."""
    ACTION_REQUIRED = "action_required"
    """The customer has to confirm the payment."""
    OTHER = "other"
    """A code that is in no table: a person looks at it."""


RETRIED = frozenset({Cause.SOFT, Cause.DEBIT})
"""Causes that time alone may change."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused payment. `plan`: of the billing period, None without one; `book`: currency of the price book."""

    customer: str
    plan: str | None
    book: str
    cause: Cause

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Refusal":
        """From a row with customer_id, plan, book, reason_code and by_bank (whether a bank refused it)."""
        cause = cause_of(row["reason_code"], by_bank=row["by_bank"])
        return cls(row["customer_id"], row["plan"], row["book"], cause)


def cause_of(reason_code: str | None, *, by_bank: bool) -> Cause:
    """The cause behind a reason code of stripe_charges."""
    if reason_code in MAY_SUCCEED_LATER:
        return Cause.DEBIT if by_bank else Cause.SOFT
    if reason_code == "no_payment_method":
        return Cause.NO_METHOD
    if reason_code == "action_required":
        return Cause.ACTION_REQUIRED
    return Cause.HARD if reason_code in WAITS_FOR else Cause.OTHER
