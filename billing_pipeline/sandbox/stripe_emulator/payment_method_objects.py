"""The shapes of payment methods: cards and the accounts of bank debits."""

from __future__ import annotations

from .bank_debits import debit_details
from .cards import TEST_CARDS
from .indexing import Body
from .store import new_id
from .work import Work, merged_metadata

EMPTY_ADDRESS = {
    "city": None,
    "country": None,
    "line1": None,
    "line2": None,
    "postal_code": None,
    "state": None,
}


def _card(test_card: str) -> Body:
    card = TEST_CARDS[test_card]
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"emulated{card.last4}",
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def new_card(work: Work, test_card: str, params: Body | None = None) -> Body:
    """An unattached card, as `payment_methods.create` or the use of a test payment method makes it."""
    card = TEST_CARDS[test_card]
    private = {"outcome": card.outcome, "attaches": card.attaches}
    return work.create(_method("card", _card(test_card), work.now, params or {}), private=private)


def new_account(work: Work, type_: str, params: Body) -> Body:
    """An unattached account for bank debits; ``params[type_]`` has its numbers."""
    details, outcome = debit_details(type_, params.get(type_, {}))
    body = _method(type_, details, work.now, params)
    return work.create(body, private={"outcome": outcome, "attaches": True})


def _method(type_: str, details: Body, now: int, params: Body) -> Body:
    billing = params.get("billing_details", {})
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": params.get("allow_redisplay", "unspecified"),
        "billing_details": {
            "address": EMPTY_ADDRESS | (billing.get("address") or {}),
            "email": billing.get("email") or None,
            "name": billing.get("name") or None,
            "phone": billing.get("phone") or None,
            "tax_id": None,
        },
        type_: details,
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": merged_metadata(None, params.get("metadata")),
        "type": type_,
    }
