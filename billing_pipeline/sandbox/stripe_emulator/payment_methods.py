"""Payment methods: creating them from Stripe's test cards and accounts, attaching, detaching, listing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .bank_debits import DEBIT_TYPES
from .cards import TEST_CARDS, TOKENS
from .errors import StripeError, invalid, missing, unsupported
from .indexing import Body
from .listing import Page, page
from .outcomes import CARD_OUTCOMES
from .payment_method_objects import new_account, new_card
from .routes import list_route, route
from .work import Work, merged_metadata


def resolve(work: Work, payment_method: str, param: str) -> Body:
    """The payment method with this id; a test payment method's name makes a new one, as at Stripe."""
    if payment_method in TEST_CARDS:
        return new_card(work, payment_method)
    try:
        return work.store.get("payment_method", payment_method, param)
    except StripeError:
        raise StripeError(
            404 if param == "id" else 400,
            "invalid_request_error",
            f"No such PaymentMethod: '{payment_method}'",
            code="resource_missing",
            param=param,
        ) from None


def attached(work: Work, customer: str, payment_method: str, param: str) -> Body:
    """The customer's payment method, or Stripe's refusal of one that is not attached to this customer."""
    found = None
    with suppress(StripeError):
        found = work.store.get("payment_method", payment_method, param)
    if found is None or found["customer"] != customer:
        raise invalid(
            f"The customer does not have a payment method with the ID {payment_method}. The payment method "
            "must be attached to the customer.",
            code="resource_missing",
            param=param,
        )
    return found


def attach_to(work: Work, method: Body, customer: str) -> Body:
    """Attach, or decline the cards that Stripe declines at this point (all but 4000 0000 0000 0341)."""
    if method["customer"] == customer:
        return method
    if method["customer"] is not None:
        raise invalid("The payment method you provided has already been attached to a customer.")
    private = work.store.private(method["id"])
    if private.get("detached"):
        raise invalid(
            "This PaymentMethod was previously used without being attached to a Customer or was detached "
            "from a Customer, and may not be used again."
        )
    if not private["attaches"]:
        outcome = CARD_OUTCOMES[private["outcome"]]
        raise StripeError(
            402, "card_error", outcome.message, code=outcome.code, decline_code=outcome.decline_code, param=""
        )
    return work.update(method, method | {"customer": customer}, "payment_method.attached")


def create(work: Work, params: Body) -> Body:
    """POST /v1/payment_methods: a card from one of Stripe's card tokens, or an account for bank debits."""
    type_ = params.get("type")
    if type_ in DEBIT_TYPES:
        return new_account(work, type_, params)
    if type_ != "card":
        raise unsupported(f"payment methods other than cards and {', '.join(sorted(DEBIT_TYPES))}")
    token = params.get("card", {}).get("token")
    if token is None:
        raise invalid(
            "Sending credit card numbers directly to the Stripe API is generally unsafe. Use a test token.",
            param="card[token]",
        )
    if token not in TOKENS:
        raise missing("token", token, "card[token]")
    return new_card(work, TOKENS[token], params)


def retrieve(work: Work, params: Body, payment_method: str) -> Body:
    """GET /v1/payment_methods/:id."""
    del params
    return resolve(work, payment_method, "id")


def update(work: Work, params: Body, payment_method: str) -> Body:
    """POST /v1/payment_methods/:id."""
    before = resolve(work, payment_method, "id")
    after = before | {"metadata": merged_metadata(before["metadata"], params.get("metadata"))}
    return work.update(before, after, "payment_method.updated")


def attach(work: Work, params: Body, payment_method: str) -> Body:
    """POST /v1/payment_methods/:id/attach."""
    if "customer" not in params:
        raise invalid("Missing required param: customer.", code="parameter_missing", param="customer")
    customer = work.store.get("customer", params["customer"], "customer")
    return attach_to(work, resolve(work, payment_method, "id"), customer["id"])


def detach(work: Work, params: Body, payment_method: str) -> Body:
    """POST /v1/payment_methods/:id/detach; a detached card can't be attached again."""
    del params
    method = resolve(work, payment_method, "id")
    if method["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    customer = work.store.get("customer", method["customer"])
    settings = customer["invoice_settings"]
    if settings["default_payment_method"] == method["id"]:
        changed = customer | {"invoice_settings": settings | {"default_payment_method": None}}
        work.update(customer, changed, "customer.updated")
    work.store.set_private(method["id"], work.store.private(method["id"]) | {"detached": True})
    return work.update(method, method | {"customer": None}, "payment_method.detached")


def _list(work: Work, params: Body, url: str) -> Page:
    filters: list[tuple[str, Any]] = [("customer = ?", params["customer"])]
    if "type" in params:
        filters.append(("tag = ?", params["type"]))
    return page(work, "payment_method", params, url, filters)


def list_all(work: Work, params: Body) -> Page:
    """GET /v1/payment_methods; without a customer Stripe lists nothing, and neither do we."""
    if "customer" not in params:
        return Page([], False, "/v1/payment_methods")
    work.store.get("customer", params["customer"], "customer")
    return _list(work, params, "/v1/payment_methods")


def list_of_customer(work: Work, params: Body, customer: str) -> Page:
    """GET /v1/customers/:id/payment_methods."""
    work.store.get("customer", customer)
    return _list(work, params | {"customer": customer}, f"/v1/customers/{customer}/payment_methods")


def retrieve_of_customer(work: Work, params: Body, customer: str, payment_method: str) -> Body:
    """GET /v1/customers/:id/payment_methods/:id."""
    del params
    work.store.get("customer", customer)
    found = resolve(work, payment_method, "id")
    if found["customer"] != customer:
        raise missing("payment_method", payment_method)
    return found


ROUTES = (
    list_route("/v1/customers/:customer/payment_methods", "CustomerPaymentMethodList", list_of_customer, "type"),
    route(
        "GET",
        "/v1/customers/:customer/payment_methods/:payment_method",
        "CustomerPaymentMethodRetrieve",
        retrieve_of_customer,
    ),
    route(
        "POST",
        "/v1/payment_methods",
        "PaymentMethodCreate",
        create,
        f"type card.token {' '.join(sorted(DEBIT_TYPES))} billing_details allow_redisplay metadata",
    ),
    list_route("/v1/payment_methods", "PaymentMethodList", list_all, "customer type"),
    route("GET", "/v1/payment_methods/:payment_method", "PaymentMethodRetrieve", retrieve),
    route("POST", "/v1/payment_methods/:payment_method", "PaymentMethodUpdate", update, "metadata"),
    route("POST", "/v1/payment_methods/:payment_method/attach", "PaymentMethodAttach", attach, "customer"),
    route("POST", "/v1/payment_methods/:payment_method/detach", "PaymentMethodDetach", detach),
)
