"""Refunds of card charges."""

from __future__ import annotations

from .errors import invalid
from .indexing import Body
from .routes import listing, retrieving, route
from .store import new_id
from .work import Work, merged_metadata


def create(work: Work, params: Body) -> Body:
    """POST /v1/refunds, by charge or payment intent."""
    if ("charge" in params) == ("payment_intent" in params):
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if "charge" in params:
        charge = work.store.get("charge", params["charge"], "charge")
    else:
        intent = work.store.get("payment_intent", params["payment_intent"], "payment_intent")
        if intent["latest_charge"] is None or intent["status"] != "succeeded":
            raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
        charge = work.store.get("charge", intent["latest_charge"])
    return refund(work, charge, params.get("amount"), params.get("reason"), params.get("metadata"))


def refund(
    work: Work,
    charge: Body,
    amount_minor: int | None,
    reason: str | None,
    metadata: dict[str, str] | str | None,
) -> Body:
    """Give back a part of a charge (all that is left by default), never more than is left."""
    left = charge["amount_captured"] - charge["amount_refunded"]
    if not charge["paid"]:
        raise invalid(f"Charge {charge['id']} has not been paid and can't be refunded.", param="charge")
    if charge["disputed"]:
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if charge["refunded"] or left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    amount = left if amount_minor is None else amount_minor
    if amount <= 0:
        raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        raise invalid(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount")
    fails = work.store.private(charge["id"]).get("effect") == "refund_fails"
    body: Body = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn"),
        "charge": charge["id"],
        "created": work.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "metadata": merged_metadata(None, metadata),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    if charge["payment_method_details"]["type"] == "card":
        body["destination_details"] = {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"}
    work.create(body, "refund.created")
    if fails:
        # test card 4000 0000 0000 5126: at Stripe the refund succeeds and fails later; here at once
        failed = body | {"failure_reason": "expired_or_canceled_card", "status": "failed"}
        work.update(body, failed, "refund.failed")
        return failed
    refunded = charge["amount_refunded"] + amount
    after = charge | {"amount_refunded": refunded, "refunded": refunded == charge["amount_captured"]}
    work.update(charge, after, "charge.refunded")
    return body


def update(work: Work, params: Body, refund: str) -> Body:
    """POST /v1/refunds/:id: metadata only."""
    before = work.store.get("refund", refund)
    after = before | {"metadata": merged_metadata(before["metadata"], params.get("metadata"))}
    return work.update(before, after, "refund.updated")


ROUTES = (
    route("POST", "/v1/refunds", "RefundCreate", create, "amount charge payment_intent metadata reason"),
    listing("/v1/refunds", "RefundList", "refund", charge="parent", payment_intent="tag"),
    retrieving("/v1/refunds/:refund", "RefundRetrieve", "refund"),
    route("POST", "/v1/refunds/:refund", "RefundUpdate", update, "metadata"),
)
