"""Setup intents: saving a payment method for later without charging it (https://docs.stripe.com/api/setup_intents)."""

from __future__ import annotations

from . import customers, payment_methods
from .cards import TEST_CARDS
from .errors import StripeError, invalid
from .indexing import Body
from .outcomes import outcomes_of
from .routes import listing, retrieving, route
from .store import new_id
from .work import Work, merged_metadata, text_or_none

CONFIRMABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def new_setup_intent(work: Work, customer: str | None, params: Body) -> Body:
    """A setup intent that waits for a payment method; announced as created."""
    intent_id = new_id("seti")
    body = {
        "id": intent_id,
        "object": "setup_intent",
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{intent_id}_secret_{new_id('x')[2:]}",
        "created": work.now,
        "customer": customer,
        "customer_account": None,
        "description": text_or_none(params, "description"),
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "managed_payments": None,
        "mandate": None,
        "metadata": merged_metadata(None, params.get("metadata")),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"mandate_options": None, "network": None, "request_three_d_secure": None}},
        "payment_method_types": params.get("allowed_payment_method_types", ["card"]),
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
    return work.create(body, "setup_intent.created")


def create(work: Work, params: Body) -> Body:
    """POST /v1/setup_intents, confirmed at once with ``confirm=true``."""
    owner = customers.live(work, params)["id"] if "customer" in params else None
    intent = new_setup_intent(work, owner, params)
    if "payment_method" in params:
        method = _method(work, owner, params["payment_method"])
        intent = intent | {"payment_method": method["id"], "status": "requires_confirmation"}
        work.store.replace(intent)
    return _confirm(work, intent) if params.get("confirm") else intent


def update(work: Work, params: Body, setup_intent: str) -> Body:
    """POST /v1/setup_intents/:id: description, metadata, and the payment method until it is saved."""
    before = work.store.get("setup_intent", setup_intent)
    after = before | {"metadata": merged_metadata(before["metadata"], params.get("metadata"))}
    if "description" in params:
        after["description"] = params["description"] or None
    if "payment_method" in params:
        _require(before, CONFIRMABLE, "update")
        method = _method(work, before["customer"], params["payment_method"])
        after |= {"payment_method": method["id"], "status": "requires_confirmation"}
    return work.update(before, after)


def confirm(work: Work, params: Body, setup_intent: str) -> Body:
    """POST /v1/setup_intents/:id/confirm."""
    before = work.store.get("setup_intent", setup_intent)
    _require(before, CONFIRMABLE, "confirm")
    if "payment_method" in params:
        before |= {"payment_method": _method(work, before["customer"], params["payment_method"])["id"]}
    return _confirm(work, before)


def cancel(work: Work, params: Body, setup_intent: str) -> Body:
    """POST /v1/setup_intents/:id/cancel."""
    before = work.store.get("setup_intent", setup_intent)
    _require(before, CONFIRMABLE, "cancel")
    after = before | {"cancellation_reason": params.get("cancellation_reason"), "status": "canceled"}
    return work.update(before, after, "setup_intent.canceled")


def complete(work: Work, intent: Body, method: Body) -> Body:
    """The customer has given a payment method: it is attached and the setup intent has succeeded.

    Raises Stripe's refusal, with its effects kept, for a card that is declined when it is saved.
    """
    try:
        attached = payment_methods.attach_to(work, method, intent["customer"]) if intent["customer"] else method
    except StripeError as refusal:
        error = {"message": refusal.fields["message"], "type": refusal.fields["type"], "payment_method": method}
        error |= {name: refusal.fields[name] for name in ("code", "decline_code") if refusal.fields.get(name)}
        failed = intent | {
            "last_setup_error": error, "payment_method": None, "status": "requires_payment_method"
        }  # fmt: skip
        work.update(intent, failed, "setup_intent.setup_failed")
        refusal.keep_effects = True
        refusal.fields["setup_intent"] = failed
        raise
    types = intent["payment_method_types"]
    after = intent | {
        "last_setup_error": None,
        "latest_attempt": new_id("setatt"),
        "next_action": None,
        "payment_method": attached["id"],
        "payment_method_types": types if method["type"] in types else [*types, method["type"]],
        "status": "succeeded",
    }
    return work.update(intent, after, "setup_intent.succeeded")


def _confirm(work: Work, intent: Body) -> Body:
    if intent["payment_method"] is None:
        raise invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method.",
            code="setup_intent_unexpected_state",
        )
    method = work.store.get("payment_method", intent["payment_method"])
    outcome = outcomes_of(method["type"])[work.store.private(method["id"])["outcome"]]
    if outcome.effect == "authenticate":
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        waiting = intent | {"next_action": action, "status": "requires_action"}
        return work.update(intent, waiting, "setup_intent.requires_action")
    return complete(work, intent, method)


def _method(work: Work, owner: str | None, requested: str) -> Body:
    method = payment_methods.resolve(work, requested, "payment_method")
    if requested not in TEST_CARDS and method["customer"] not in {None, owner}:
        raise invalid("The payment method belongs to another customer.", param="payment_method")
    return method


def _require(intent: Body, statuses: frozenset[str], action: str) -> None:
    if intent["status"] not in statuses:
        raise invalid(
            f"You cannot {action} this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
        )


ONE = "/v1/setup_intents/:setup_intent"
ROUTES = (
    route(
        "POST",
        "/v1/setup_intents",
        "SetupIntentCreate",
        create,
        "allowed_payment_method_types confirm customer description metadata payment_method usage",
    ),
    listing("/v1/setup_intents", "SetupIntentList", "setup_intent", customer="customer", payment_method="parent"),
    retrieving(ONE, "SetupIntentRetrieve", "setup_intent"),
    route("POST", ONE, "SetupIntentUpdate", update, "description metadata payment_method"),
    route("POST", f"{ONE}/confirm", "SetupIntentConfirm", confirm, "payment_method"),
    route("POST", f"{ONE}/cancel", "SetupIntentCancel", cancel, "cancellation_reason"),
)
