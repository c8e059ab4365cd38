"""Checkout sessions in setup mode: a page where a customer saves a payment method.

Source: https://docs.stripe.com/payments/save-and-reuse?platform=web&ui=checkout. The page is in `hosted_pages`.
"""

from __future__ import annotations

from . import currencies, customers, setup_intents
from .errors import invalid, unsupported
from .indexing import Body
from .routes import listing, retrieving, route
from .store import new_id
from .work import Work, merged_metadata

EXPIRES_AFTER_S = 86_400
EXPIRES_MIN_S = 30 * 60
GIVEN = ("cancel_url", "client_reference_id", "customer_email", "locale", "success_url")


def create(work: Work, params: Body) -> Body:
    """POST /v1/checkout/sessions with ``mode=setup``."""
    if params.get("mode") != "setup":
        raise unsupported("checkout sessions other than `mode=setup`")
    if "success_url" not in params:
        raise invalid("Missing required param: success_url.", code="parameter_missing", param="success_url")
    if "currency" not in params and "allowed_payment_method_types" not in params:
        raise invalid("Missing required param: currency.", code="parameter_missing", param="currency")
    expires_at = params.get("expires_at", work.now + EXPIRES_AFTER_S)
    if not work.now + EXPIRES_MIN_S <= expires_at <= work.now + EXPIRES_AFTER_S:
        raise invalid("`expires_at` must be between 30 minutes and 24 hours from now.", param="expires_at")
    customer = customers.live(work, params) if "customer" in params else None
    owner = customer["id"] if customer else None
    data = params.get("setup_intent_data", {})
    types = {name: params[name] for name in ("allowed_payment_method_types",) if name in params}
    intent = setup_intents.new_setup_intent(work, owner, data | types)
    session_id = new_id("cs_test", 58)
    email = customer["email"] if customer else params.get("customer_email")
    body = _session(work, session_id, params) | {
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "currency": currencies.known(params["currency"]) if "currency" in params else None,
        "customer": owner,
        "customer_details": _details(customer, email),
        "expires_at": expires_at,
        "metadata": merged_metadata(None, params.get("metadata")),
        "payment_method_types": intent["payment_method_types"],
        "setup_intent": intent["id"],
        "url": f"{work.base_url}/hosted/checkout/{session_id}",
    }
    return work.create(body | {name: params.get(name) for name in GIVEN})


def complete(work: Work, session: Body, method: Body) -> Body:
    """The customer has given a payment method on the page."""
    if session["status"] != "open":
        raise invalid(f"This Checkout Session is {session['status']}.", code="checkout_session_not_open")
    setup_intents.complete(work, work.store.get("setup_intent", session["setup_intent"]), method)
    after = session | {"status": "complete", "url": None}
    return work.update(session, after, "checkout.session.completed")


def expire(work: Work, params: Body, session: str) -> Body:
    """POST /v1/checkout/sessions/:id/expire; the clock does the same when its time is over."""
    del params
    before = work.store.get("checkout.session", session)
    if before["status"] != "open":
        raise invalid(f"Only Checkout Sessions with a status of open can be expired; this one is {before['status']}.")
    setup_intents.cancel(work, {}, before["setup_intent"])
    return work.update(before, before | {"status": "expired", "url": None}, "checkout.session.expired")


def _details(customer: Body | None, email: str | None) -> Body | None:
    if customer is None and email is None:
        return None
    known = customer or {}
    shown = {name: known.get(name) for name in ("address", "business_name", "individual_name", "name", "phone")}
    return shown | {"email": email, "tax_exempt": known.get("tax_exempt", "none"), "tax_ids": None}


def _session(work: Work, session_id: str, params: Body) -> Body:
    """The fields that a session in setup mode does not use."""
    unused = (
        "adaptive_pricing after_expiration allow_promotion_codes amount_subtotal amount_total "
        "billing_address_collection client_secret collected_information consent consent_collection "
        "currency_conversion customer_account discounts integration_identifier invoice invoice_creation "
        "managed_payments origin_context payment_intent payment_link payment_method_configuration_details "
        "permissions recovered_from saved_payment_method_options shipping_address_collection shipping_cost "
        "submit_type subscription total_details wallet_options"
    )
    custom_text = dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance"))
    return dict.fromkeys(unused.split()) | {
        "id": session_id,
        "object": "checkout.session",
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "created": work.now,
        "custom_fields": [],
        "custom_text": custom_text,
        "customer_creation": params.get("customer_creation"),
        "livemode": False,
        "mode": "setup",
        "payment_method_collection": "always",
        "payment_method_options": {},
        "payment_status": "no_payment_required",
        "shipping_options": [],
        "status": "open",
        "ui_mode": params.get("ui_mode"),
    }


ONE = "/v1/checkout/sessions/:session"
ROUTES = (
    route(
        "POST",
        "/v1/checkout/sessions",
        "checkout.SessionCreate",
        create,
        "allowed_payment_method_types cancel_url client_reference_id currency customer customer_email expires_at "
        "locale metadata mode setup_intent_data.description setup_intent_data.metadata success_url",
    ),
    listing("/v1/checkout/sessions", "checkout.SessionList", "checkout.session", customer="customer", status="status"),
    retrieving(ONE, "checkout.SessionRetrieve", "checkout.session"),
    route("POST", f"{ONE}/expire", "checkout.SessionExpire", expire),
)
