"""Billing-portal sessions: a page where a customer sees the invoices and changes the payment method.

Source: https://docs.stripe.com/api/customer_portal/sessions. The page is in `hosted_pages`.
"""

from __future__ import annotations

from . import customers, payment_methods
from .errors import unsupported
from .indexing import Body
from .routes import route
from .store import new_id
from .work import Work

CONFIGURATION = "bpc_emulated"
FLOWS = frozenset({"payment_method_update"})


def create(work: Work, params: Body) -> Body:
    """POST /v1/billing_portal/sessions."""
    customer = customers.live(work, params)
    session_id = new_id("bps")
    body = {
        "id": session_id,
        "object": "billing_portal.session",
        "configuration": params.get("configuration", CONFIGURATION),
        "created": work.now,
        "customer": customer["id"],
        "customer_account": None,
        "flow": _flow(params["flow_data"]) if "flow_data" in params else None,
        "livemode": False,
        "locale": params.get("locale"),
        "on_behalf_of": None,
        "return_url": params.get("return_url"),
        "url": f"{work.base_url}/hosted/portal/{session_id}",
    }
    return work.create(body, "billing_portal.session.created")


def set_payment_method(work: Work, session: Body, method: Body) -> Body:
    """The customer has given a new payment method on the page: it is the default from now. Returns the customer."""
    attached = payment_methods.attach_to(work, method, session["customer"])
    customer = work.store.get("customer", session["customer"])
    settings = customer["invoice_settings"] | {"default_payment_method": attached["id"]}
    return work.update(customer, customer | {"invoice_settings": settings}, "customer.updated")


def _flow(data: Body) -> Body:
    if data["type"] not in FLOWS:
        raise unsupported(f"portal flows other than {', '.join(sorted(FLOWS))}")
    after = data.get("after_completion", {"type": "portal_homepage"})
    shown = {
        "hosted_confirmation": after.get("hosted_confirmation"),
        "redirect": after.get("redirect"),
        "type": after["type"],
    }
    others = "customer_update subscription_cancel subscription_pause subscription_update subscription_update_confirm"
    return dict.fromkeys(others.split()) | {"after_completion": shown, "type": data["type"]}


ROUTES = (
    route(
        "POST",
        "/v1/billing_portal/sessions",
        "billing_portal.SessionCreate",
        create,
        "configuration customer flow_data.type flow_data.after_completion locale return_url",
    ),
)
