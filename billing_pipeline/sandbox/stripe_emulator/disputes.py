"""Disputes: opened by the test card 4000 0000 0000 0259 or by the control surface, closed by either side."""

from __future__ import annotations

from .errors import invalid
from .indexing import Body
from .routes import listing, retrieving, route
from .store import new_id
from .work import Work

ANSWER_WITHIN_S = 9 * 86_400
_EVIDENCE = """
access_activity_log billing_address cancellation_policy cancellation_policy_disclosure
cancellation_rebuttal customer_communication customer_email_address customer_name
customer_purchase_ip customer_signature duplicate_charge_documentation duplicate_charge_explanation
duplicate_charge_id product_description receipt refund_policy refund_policy_disclosure
refund_refusal_explanation service_date service_documentation shipping_address shipping_carrier
shipping_date shipping_documentation shipping_tracking_number uncategorized_file uncategorized_text
"""


def open_dispute(work: Work, charge_id: str, reason: str) -> Body:
    """The cardholder disputes a charge."""
    charge = work.store.get("charge", charge_id, "charge")
    if not charge["paid"] or charge["disputed"]:
        raise invalid("Only a successful charge without a dispute can be disputed.", param="charge")
    work.update(charge, charge | {"disputed": True}, "charge.updated")
    body: Body = {
        "id": new_id("du"),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge_id,
        "created": work.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE.split()) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": work.now + ANSWER_WITHIN_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "manual",
        },
        "intended_submission_method": None,
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "needs_response",
    }
    if charge["payment_method_details"]["type"] == "card":
        brand = charge["payment_method_details"]["card"]["brand"]
        card = {"brand": brand, "case_type": "chargeback", "network": brand, "network_reason_code": "10.4"}
        body["payment_method_details"] = {"card": card, "type": "card"}
    return work.create(body, "charge.dispute.created")


def close_dispute(work: Work, dispute_id: str, status: str) -> Body:
    """The dispute ends ``won`` or ``lost``; a won one frees its charge."""
    dispute = work.store.get("dispute", dispute_id)
    if dispute["status"] in {"won", "lost"}:
        raise invalid("This dispute is already closed.")
    if status == "won":
        charge = work.store.get("charge", dispute["charge"])
        work.update(charge, charge | {"disputed": False}, "charge.updated")
    return work.update(dispute, dispute | {"status": status}, "charge.dispute.closed")


def close(work: Work, params: Body, dispute: str) -> Body:
    """POST /v1/disputes/:id/close: accept the loss."""
    del params
    return close_dispute(work, dispute, "lost")


ROUTES = (
    listing("/v1/disputes", "DisputeList", "dispute", charge="parent", payment_intent="tag"),
    retrieving("/v1/disputes/:dispute", "DisputeRetrieve", "dispute"),
    route("POST", "/v1/disputes/:dispute/close", "DisputeClose", close),
)
