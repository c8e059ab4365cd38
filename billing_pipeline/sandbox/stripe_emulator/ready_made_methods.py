"""Payment methods for test customers, by the way in which payments with them end."""

from __future__ import annotations

from .bank_debits import DEFAULT_ACCOUNTS
from .errors import invalid
from .indexing import Body
from .outcomes import outcomes_of
from .payment_method_objects import new_account, new_card
from .work import Work

KINDS = {
    "good": "card that pays",
    "declined": "card that is declined when it is charged",
    "insufficient_funds": "card without funds",
    "expired": "card that has expired",
    "3ds": "card that asks for authentication at each payment",
    "refused": "card that is refused when it is saved",
    "sepa_debit": "SEPA debit",
    "us_bank_account": "US bank account",
    "au_becs_debit": "BECS debit",
    "bacs_debit": "Bacs debit",
    "boleto": "Boleto",
    "customer_balance": "bank transfer",
}
"""What one can choose, with a text for a page."""

_CARDS = {
    "good": ("pm_card_visa", "success"),
    "declined": ("pm_card_visa", "generic_decline"),
    "insufficient_funds": ("pm_card_visa", "insufficient_funds"),
    "expired": ("pm_card_visa", "expired_card"),
    "3ds": ("pm_card_authenticationRequired", "authentication_required"),
    "refused": ("pm_card_chargeDeclined", "generic_decline"),
}


def new_method(work: Work, kind: str, outcome: str | None) -> Body:
    """An unattached payment method of one of `KINDS`; ``outcome`` overrides how payments with it end."""
    if kind not in KINDS:
        raise invalid(f"`kind` must be one of {', '.join(KINDS)}.", param="kind")
    if kind in _CARDS:
        test_card, usual = _CARDS[kind]
        method = new_card(work, test_card)
    else:
        usual = "success"
        billing = {"email": "jenny@example.com", "name": "Jenny Rosen"}
        method = new_account(work, kind, {kind: DEFAULT_ACCOUNTS[kind], "billing_details": billing})
    set_outcome(work, method, outcome or usual)
    return method


def set_outcome(work: Work, method: Body, outcome: object) -> None:
    """How payments with a payment method end from now."""
    known = outcomes_of(method["type"])
    if outcome not in known:
        raise invalid(f"`outcome` must be one of {', '.join(known)}.", param="outcome")
    work.store.set_private(method["id"], work.store.private(method["id"]) | {"outcome": outcome})
