"""Customers and their credit balance."""

from __future__ import annotations

from . import customer_balance, payment_methods
from .cards import TEST_CARDS
from .errors import invalid, missing
from .indexing import Body
from .payment_method_objects import EMPTY_ADDRESS
from .routes import listing, retrieving, route
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
        body = customer_balance.change(work, body, "usd", params["balance"], "initial", announce=False)
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
        after = customer_balance.change(work, after, before["currency"] or "usd", change, "adjustment")
    return after


def live(work: Work, params: Body) -> Body:
    """The customer that a request names and that must not be deleted."""
    if "customer" not in params:
        raise invalid("Missing required param: customer.", code="parameter_missing", param="customer")
    customer = work.store.get("customer", params["customer"], "customer", tombstones=True)
    if customer.get("deleted"):
        raise missing("customer", params["customer"], "customer")
    return customer


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


CUSTOMER = (
    "address balance business_name description email individual_name invoice_prefix metadata name "
    "next_invoice_sequence phone invoice_settings.default_payment_method invoice_settings.footer"
)
ROUTES = (
    route("POST", "/v1/customers", "CustomerCreate", create, f"{CUSTOMER} payment_method"),
    listing("/v1/customers", "CustomerList", "customer", email="tag"),
    retrieving("/v1/customers/:customer", "CustomerRetrieve", "customer", tombstones=True),
    route("POST", "/v1/customers/:customer", "CustomerUpdate", update, CUSTOMER),
)
