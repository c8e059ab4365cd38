"""Payment methods whose payments take days: bank debits, Boleto and bank transfers. Only their data.

As with Stripe's test accounts (https://docs.stripe.com/testing#non-card-payments), the last four digits of the account
decide how payments from it end.
"""

from __future__ import annotations

from .errors import invalid
from .indexing import Body

SETTLES_AFTER_S = 4 * 86_400
"""After so long by the emulator's clock the bank has answered, unless the outcome is to stay."""

OUTCOME_BY_LAST4 = {
    "1113": "account_closed", "1116": "no_account", "2227": "insufficient_funds", "3335": "debit_not_authorized",
    "3202": "payment_attempt_failed", "3205": "payment_attempt_failed", "3203": "dispute", "5559": "dispute",
    "0009": "stays_processing",
}  # fmt: skip

_ACCOUNT_FIELD = {
    "sepa_debit": "iban",
    "us_bank_account": "account_number",
    "au_becs_debit": "account_number",
    "bacs_debit": "account_number",
    "boleto": "tax_id",
}
DEBIT_TYPES = frozenset(_ACCOUNT_FIELD) | {"customer_balance"}
"""Beside debits the transfer, which has no account: money comes when it comes (`bank_transfers`)."""

DEFAULT_ACCOUNTS: dict[str, dict[str, str]] = {
    "sepa_debit": {"iban": "AT611904300234573201"},
    "us_bank_account": {"account_number": "000123456789", "routing_number": "110000000"},
    "au_becs_debit": {"account_number": "000123456", "bsb_number": "000000"},
    "bacs_debit": {"account_number": "00012345", "sort_code": "108800"},
    "boleto": {"tax_id": "00000000000"},
    "customer_balance": {},
}
"""Stripe's test accounts whose payments succeed."""


def debit_details(type_: str, account: Body) -> tuple[Body, str]:
    """The part of a payment method that is named like its type, and the outcome of payments from this account."""
    if type_ == "customer_balance":
        return {}, "success"
    field = _ACCOUNT_FIELD[type_]
    number = account.get(field)
    if not number:
        raise invalid(f"Missing required param: {type_}[{field}].", code="parameter_missing", param=f"{type_}[{field}]")
    last4 = number[-4:]
    fingerprint = f"emulated{last4}"
    details: dict[str, Body] = {
        "sepa_debit": {
            "bank_code": number[4:9], "branch_code": None, "country": number[:2], "fingerprint": fingerprint,
            "generated_from": {"charge": None, "setup_attempt": None}, "last4": last4,
        },
        "us_bank_account": {
            "account_holder_type": account.get("account_holder_type", "individual"),
            "account_type": account.get("account_type", "checking"), "bank_name": "STRIPE TEST BANK",
            "financial_connections_account": None, "fingerprint": fingerprint, "last4": last4,
            "networks": {"preferred": "ach", "supported": ["ach"]},
            "routing_number": account.get("routing_number", "110000000"), "status_details": {},
        },
        "au_becs_debit": {"bsb_number": account.get("bsb_number"), "fingerprint": fingerprint, "last4": last4},
        "bacs_debit": {"fingerprint": fingerprint, "last4": last4, "sort_code": account.get("sort_code")},
        "boleto": {"tax_id": number},
    }  # fmt: skip
    return details[type_], OUTCOME_BY_LAST4.get(last4, "success")


def charge_details(method: Body) -> Body:
    """What a charge shows of the account that it was taken from."""
    type_ = method["type"]
    shown = {
        "sepa_debit": "bank_code branch_code country fingerprint last4",
        "us_bank_account": "account_holder_type account_type bank_name fingerprint last4 routing_number",
        "au_becs_debit": "bsb_number fingerprint last4",
        "bacs_debit": "fingerprint last4 sort_code",
        "boleto": "tax_id",
        "customer_balance": "",
    }[type_].split()
    details: Body = {name: method[type_][name] for name in shown}
    if type_ in {"sepa_debit", "bacs_debit"}:
        details["mandate"] = None
    if type_ == "us_bank_account":
        details["payment_reference"] = None
    return details
