"""When a refused payment is tried again by itself, and when it waits for somebody. Pure; times are given.

Ours only: invoices are created with `auto_advance` false, so Stripe retries none of them.

Sources: https://docs.stripe.com/declines/codes (which declines may pass later, and which must not be tried again),
https://docs.stripe.com/billing/revenue-recovery/smart-retries (hard declines are not retried),
https://docs.stripe.com/payments/ach-direct-debit (retries of debits).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

RETRY_DAYS = (1, 3, 7, 14)
"""Default schedule: days after the first refusal."""

BANK_RETRIES_MAX = 2
"""A returned debit may be presented twice more (Nacha's rules for ACH; Stripe's advice for the others)."""

MAY_SUCCEED_LATER = frozenset({"declined", "insufficient_funds"})
"""Reason codes of refusals that the same payment method may not repeat."""

WAITS_FOR = {
    "no_payment_method": "a payment method",
    "expired_card": "another payment method: the card has expired",
    "declined_for_good": "another payment method: this one is declined for good",
    "debit_not_authorized": "another payment method: the bank or the customer did not authorise the debit",
    "account_closed": "another payment method: the bank account is closed or cannot be debited",
    "action_required": "the customer, who has to confirm the payment",
}
"""Reason codes of refusals that time alone does not change, and what does."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When it is tried again. `due_at` None: not by itself; `cause` says what it waits for."""

    due_at: datetime | None
    cause: str


def next_retry(
    reason_code: str | None,
    refused_at: datetime,
    retries_made: int,
    days: Sequence[int] = RETRY_DAYS,
    *,
    by_bank: bool = False,
) -> Retry:
    """What follows from a refusal.

    A step's gap is counted from the refusal before it, so that retries that are late stay apart from each other.

    Args:
        reason_code: why it was refused; a code that is in neither table waits for a person.
        refused_at: when it was refused last.
        retries_made: how many retries have followed the first refusal.
        days: days after the first refusal, rising.
        by_bank: whether it was a debit or the like, which is presented `BANK_RETRIES_MAX` more times at most.
    """
    if by_bank:
        days = days[:BANK_RETRIES_MAX]
    if reason_code not in MAY_SUCCEED_LATER:
        return Retry(None, f"waits for {WAITS_FOR.get(reason_code or '', 'a person')}")
    if retries_made >= len(days):
        return Retry(None, f"refused {retries_made + 1} times: waits for another payment method or a person")
    before = days[retries_made - 1] if retries_made else 0
    due_at = refused_at.astimezone(UTC) + timedelta(days=days[retries_made] - before)
    return Retry(due_at, f"retry {retries_made + 1} of {len(days)} after {reason_code}")
