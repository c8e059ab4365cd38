"""Customers and their credit balance."""

from __future__ import annotations

from typing import Any

from . import payment_methods
from .cards import TEST_CARDS
from .errors import invalid, missing
from .indexing import Body
from .listing import Page, page
from .payment_method_objects import EMPTY_ADDRESS
from .routes import list_route, listing, retrieving, route
from .store import new_id
from .work import Work, merged_metadata, text_or_none

TEXTS = ("business_name", "description", "email", "individual_name", "name", "phone")


def create(work: Work, params: Body) -> Body:
    """POST /v1/customers."""
    _check_email(params)
    settings = params.get("invoice_settings", {})
    customer_id = new_id("cus", 14)
    body: Body = {
        "id": customer_id,
        "object": "customer",
        "address": _address(params, None),
        "balance": 0,
        "created": work.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": customer_id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": settings.get("footer") or None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": merged_metadata(None, params.get("metadata")),
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    body |= {name: text_or_none(params, name) for name in TEXTS if name in params}
    _check_prefix(params)
    body |= {name: params[name] for name in ("invoice_prefix", "next_invoice_sequence") if name in params}
    work.store.insert(body)
    if "payment_method" in params:
        method = payment_methods.resolve(work, params["payment_method"], "payment_method")
        payment_methods.attach_to(work, method, customer_id)
    default = settings.get("default_payment_method")
    if default:
        if default in TEST_CARDS and "payment_method" in params:
            default = method["id"]
        payment_methods.attached(work, customer_id, default, "invoice_settings[default_payment_method]")
        body["invoice_settings"]["default_payment_method"] = default
        work.store.replace(body)
    work.announce("customer.created", body)
    if params.get("balance"):
        body = change_balance(work, body, "usd", params["balance"], "initial", announce=False)
    return body


def update(work: Work, params: Body, customer: str) -> Body:
    """POST /v1/customers/:id."""
    _check_email(params)
    before = work.store.get("customer", customer)
    after = before | {name: text_or_none(params, name) for name in TEXTS if name in params}
    after["address"] = _address(params, before["address"])
    after["metadata"] = merged_metadata(before["metadata"], params.get("metadata"))
    _check_prefix(params)
    after |= {name: params[name] for name in ("invoice_prefix", "next_invoice_sequence") if name in params}
    settings = params.get("invoice_settings", {})
    if "default_payment_method" in settings:
        default = settings["default_payment_method"] or None
        if default:
            payment_methods.attached(work, customer, default, "invoice_settings[default_payment_method]")
        after["invoice_settings"] = after["invoice_settings"] | {"default_payment_method": default}
    if "footer" in settings:
        after["invoice_settings"] = after["invoice_settings"] | {"footer": settings["footer"] or None}
    work.update(before, after, "customer.updated")
    change = params["balance"] - before["balance"] if "balance" in params else 0
    if change:
        after = change_balance(work, after, before["currency"] or "usd", change, "adjustment")
    return after


def list_balance_transactions(work: Work, params: Body, customer: str) -> Page:
    """GET /v1/customers/:id/balance_transactions."""
    work.store.get("customer", customer, tombstones=True)
    url = f"/v1/customers/{customer}/balance_transactions"
    return page(work, "customer_balance_transaction", params, url, [("customer = ?", customer)])


def create_balance_transaction(work: Work, params: Body, customer: str) -> Body:
    """POST /v1/customers/:id/balance_transactions: a negative amount is a credit."""
    owner = live(work, {"customer": customer})
    for name in ("amount", "currency"):
        if name not in params:
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    change_balance(work, owner, params["currency"], params["amount"], "adjustment")
    booked = next(iter(work.store.find("customer_balance_transaction", ("customer = ?", customer), newest_first=True)))
    told = {"description": params.get("description"), "metadata": merged_metadata(None, params.get("metadata"))}
    return work.update(booked, booked | told)


def balance(customer: Body, currency: str) -> int:
    """What the customer owes (positive) or has as credit (negative) in a currency, in minor units."""
    per_currency: dict[str, int] = customer.get("invoice_credit_balance") or {}
    return per_currency.get(currency, 0)


def change_balance(
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


def _address(params: Body, old: Body | None) -> Body | None:
    if "address" not in params:
        return old
    if params["address"] == "":
        return None
    return EMPTY_ADDRESS | (old or {}) | {k: v or None for k, v in params["address"].items()}


def _check_email(params: Body) -> None:
    email = params.get("email")
    if email and ("@" not in email[1:-1] or any(c.isspace() for c in email)):
        raise invalid(f"Invalid email address: {email}", code="email_invalid", param="email")


def _check_prefix(params: Body) -> None:
    prefix = params.get("invoice_prefix")
    if prefix is not None and not (3 <= len(prefix) <= 12 and prefix.isalnum() and prefix.isupper()):
        raise invalid("invoice_prefix must be 3 to 12 uppercase letters or numbers.", param="invoice_prefix")


def live(work: Work, params: Body) -> Body:
    """The customer that a request names and that must not be deleted."""
    if "customer" not in params:
        raise invalid("Missing required param: customer.", code="parameter_missing", param="customer")
    customer = work.store.get("customer", params["customer"], "customer", tombstones=True)
    if customer.get("deleted"):
        raise missing("customer", params["customer"], "customer")
    return customer


CUSTOMER = (
    "address balance business_name description email individual_name invoice_prefix metadata name "
    "next_invoice_sequence phone invoice_settings.default_payment_method invoice_settings.footer"
)
BALANCE_TRANSACTIONS = "/v1/customers/:customer/balance_transactions"
ROUTES = (
    route("POST", "/v1/customers", "CustomerCreate", create, f"{CUSTOMER} payment_method"),
    listing("/v1/customers", "CustomerList", "customer", email="tag"),
    retrieving("/v1/customers/:customer", "CustomerRetrieve", "customer", tombstones=True),
    route("POST", "/v1/customers/:customer", "CustomerUpdate", update, CUSTOMER),
    list_route(BALANCE_TRANSACTIONS, "CustomerBalanceTransactionList", list_balance_transactions),
    route(
        "POST",
        BALANCE_TRANSACTIONS,
        "CustomerBalanceTransactionCreate",
        create_balance_transaction,
        "amount currency description metadata",
    ),
)
