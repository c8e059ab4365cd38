"""The credit balance of a customer: what is owed or credited in each currency, and the bookings behind it.

Source: https://docs.stripe.com/billing/customer/balance.
"""

from __future__ import annotations

from typing import Any

from .errors import invalid
from .indexing import Body
from .listing import Page, page
from .routes import list_route, route
from .store import new_id
from .work import Work, merged_metadata


def of(customer: Body, currency: str) -> int:
    """What the customer owes (positive) or has as credit (negative) in a currency, in minor units."""
    per_currency: dict[str, int] = customer.get("invoice_credit_balance") or {}
    return per_currency.get(currency, 0)


def change(
    work: Work,
    customer: Body,
    currency: str,
    amount_minor: int,
    type_: str,
    *,
    announce: bool = True,
    **links: Any,
) -> Body:
    """Move the customer's balance and book it; drafts show the new balance at once. Returns the customer."""
    per_currency = dict(customer.get("invoice_credit_balance") or {})
    per_currency[currency] = per_currency.get(currency, 0) + amount_minor
    after = customer | {"invoice_credit_balance": per_currency, "currency": customer["currency"] or currency}
    after["balance"] = per_currency.get(after["currency"], 0)
    work.update(customer, after, *(["customer.updated"] if announce else []))
    work.create(
        {
            "id": new_id("cbtxn"),
            "object": "customer_balance_transaction",
            "amount": amount_minor,
            "checkout_session": None,
            "created": work.now,
            "credit_note": links.get("credit_note"),
            "currency": currency,
            "customer": customer["id"],
            "customer_account": None,
            "description": None,
            "ending_balance": per_currency[currency],
            "invoice": links.get("invoice"),
            "livemode": False,
            "metadata": {},
            "type": type_,
        }
    )
    for draft in work.store.find("invoice", ("customer = ?", customer["id"]), ("status = ?", "draft")):
        if draft["currency"] == currency and draft["id"] != links.get("invoice"):
            work.store.replace(draft | {"starting_balance": per_currency[currency]})
    return after


def list_transactions(work: Work, params: Body, customer: str) -> Page:
    """GET /v1/customers/:id/balance_transactions."""
    work.store.get("customer", customer, tombstones=True)
    url = f"/v1/customers/{customer}/balance_transactions"
    return page(work, "customer_balance_transaction", params, url, [("customer = ?", customer)])


def create_transaction(work: Work, params: Body, customer: str) -> Body:
    """POST /v1/customers/:id/balance_transactions: a negative amount is a credit."""
    owner = work.store.get("customer", customer)
    for name in ("amount", "currency"):
        if name not in params:
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    change(work, owner, params["currency"], params["amount"], "adjustment")
    booked = next(iter(work.store.find("customer_balance_transaction", ("customer = ?", customer), newest_first=True)))
    told = {"description": params.get("description"), "metadata": merged_metadata(None, params.get("metadata"))}
    return work.update(booked, booked | told)


TRANSACTIONS = "/v1/customers/:customer/balance_transactions"
ROUTES = (
    list_route(TRANSACTIONS, "CustomerBalanceTransactionList", list_transactions),
    route(
        "POST",
        TRANSACTIONS,
        "CustomerBalanceTransactionCreate",
        create_transaction,
        "amount currency description metadata",
    ),
)
