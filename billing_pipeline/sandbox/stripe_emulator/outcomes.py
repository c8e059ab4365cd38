"""How payments end: cards at once, bank debits after days. Only data and one look-up.

Sources: https://docs.stripe.com/declines/codes for cards, https://docs.stripe.com/payments/payment-methods for debits
(failure codes that no card has).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Effect = Literal["succeed", "decline", "authenticate", "dispute", "refund_fails", "stay"]
"""``stay``: the bank does not answer until the control surface does."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a payment ends; codes and message are those of Stripe's error. An empty code is left out of it."""

    effect: Effect
    code: str = ""
    decline_code: str | None = None
    message: str = ""


CARD_OUTCOMES: dict[str, Outcome] = {
    "success": Outcome("succeed"),
    "generic_decline": Outcome("decline", "card_declined", "generic_decline", "Your card was declined."),
    "insufficient_funds": Outcome(
        "decline", "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "lost_card": Outcome("decline", "card_declined", "lost_card", "Your card was declined."),
    "stolen_card": Outcome("decline", "card_declined", "stolen_card", "Your card was declined."),
    "fraudulent": Outcome("decline", "card_declined", "fraudulent", "Your card was declined."),
    "do_not_honor": Outcome("decline", "card_declined", "do_not_honor", "Your card was declined."),
    "try_again_later": Outcome("decline", "card_declined", "try_again_later", "Your card was declined."),
    "card_velocity_exceeded": Outcome(
        "decline",
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    "expired_card": Outcome("decline", "expired_card", None, "Your card has expired."),
    "incorrect_cvc": Outcome("decline", "incorrect_cvc", None, "Your card's security code is incorrect."),
    "processing_error": Outcome(
        "decline",
        "processing_error",
        None,
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": Outcome("authenticate"),
    "dispute": Outcome("dispute"),
    "refund_fails": Outcome("refund_fails"),
}

DEBIT_OUTCOMES: dict[str, Outcome] = {
    "success": Outcome("succeed"),
    "stays_processing": Outcome("stay"),
    "dispute": Outcome("dispute"),
    "debit_not_authorized": Outcome(
        "decline",
        "debit_not_authorized",
        None,
        "The customer has notified their bank that this payment was unauthorized.",
    ),
    "account_closed": Outcome("decline", "account_closed", None, "The customer's bank account has been closed."),
    "no_account": Outcome("decline", "no_account", None, "The bank account could not be located."),
    "insufficient_funds": Outcome(
        "decline", "insufficient_funds", None, "The customer's account has insufficient funds to cover this payment."
    ),
    "payment_attempt_failed": Outcome(
        "decline", "payment_intent_payment_attempt_failed", None, "The latest payment attempt has failed."
    ),
    "generic_decline": Outcome("decline", "", "generic_decline", "The bank returned the debit."),
    "no_code": Outcome("decline", "", None, "The bank returned the debit."),
}


def outcomes_of(payment_method_type: str) -> Mapping[str, Outcome]:
    """The outcomes that a payment method of this type can have, by name."""
    return CARD_OUTCOMES if payment_method_type == "card" else DEBIT_OUTCOMES
