"""Disputes: opened by the test card 4000 0000 0000 0259 or by the control surface, closed by either side.

The bank takes the money back with the dispute and gives it back with a win; an inquiry takes none until it becomes a
dispute. Sources: https://docs.stripe.com/disputes/how-disputes-work, https://docs.stripe.com/api/disputes/object.
"""

from __future__ import annotations

from .errors import invalid
from .indexing import Body
from .routes import listing, retrieving, route
from .store import new_id
from .work import Work

ANSWER_WITHIN_S = 9 * 86_400
FEE_MINOR = 1_500
"""What Stripe takes for a dispute, in minor units of its currency here; a win gives it back."""
INQUIRIES = frozenset({"warning_needs_response", "warning_under_review"})
_ENDS = {False: frozenset({"won", "lost"}), True: frozenset({"warning_closed"})}
_EVIDENCE = """
access_activity_log billing_address cancellation_policy cancellation_policy_disclosure
cancellation_rebuttal customer_communication customer_email_address customer_name
customer_purchase_ip customer_signature duplicate_charge_documentation duplicate_charge_explanation
duplicate_charge_id product_description receipt refund_policy refund_policy_disclosure
refund_refusal_explanation service_date service_documentation shipping_address shipping_carrier
shipping_date shipping_documentation shipping_tracking_number uncategorized_file uncategorized_text
"""


def open_dispute(work: Work, charge_id: str, reason: str, *, inquiry: bool = False) -> Body:
    """The cardholder disputes a charge, or the bank only asks about it."""
    charge = work.store.get("charge", charge_id, "charge")
    if not charge["paid"] or charge["disputed"]:
        raise invalid("Only a successful charge without a dispute can be disputed.", param="charge")
    if not inquiry:
        work.update(charge, charge | {"disputed": True}, "charge.updated")
    body: Body = {
        "id": new_id("du"),
        "object": "dispute",
        "amount": charge["amount_captured"] - charge["amount_refunded"],
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
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    if charge["payment_method_details"]["type"] == "card":
        brand = charge["payment_method_details"]["card"]["brand"]
        case = "inquiry" if inquiry else "chargeback"
        card = {"brand": brand, "case_type": case, "network": brand, "network_reason_code": "10.4"}
        body["payment_method_details"] = {"card": card, "type": "card"}
    if inquiry:
        return work.create(body, "charge.dispute.created")
    body["balance_transactions"] = [_booked(work, body, withdrawn=True)]
    return work.create(body, "charge.dispute.created", "charge.dispute.funds_withdrawn")


def escalate(work: Work, dispute_id: str) -> Body:
    """An inquiry becomes a dispute: now the bank takes the money."""
    dispute = work.store.get("dispute", dispute_id)
    if dispute["status"] not in INQUIRIES:
        raise invalid("Only an inquiry can become a dispute.")
    charge = work.store.get("charge", dispute["charge"])
    work.update(charge, charge | {"disputed": True}, "charge.updated")
    booked = [_booked(work, dispute, withdrawn=True)]
    after = dispute | {"status": "needs_response", "balance_transactions": booked, "is_charge_refundable": False}
    return work.update(dispute, after, "charge.dispute.updated", "charge.dispute.funds_withdrawn")


def answer(work: Work, dispute_id: str) -> Body:
    """Evidence is handed in: the bank looks at it."""
    dispute = work.store.get("dispute", dispute_id)
    if not dispute["status"].endswith("needs_response"):
        raise invalid("This dispute is not waiting for a response.")
    status = dispute["status"].replace("needs_response", "under_review")
    details = dispute["evidence_details"] | {"has_evidence": True, "submission_count": 1}
    return work.update(dispute, dispute | {"status": status, "evidence_details": details}, "charge.dispute.updated")


def _booked(work: Work, dispute: Body, *, withdrawn: bool) -> Body:
    """The balance transaction by which the bank takes the money, or gives it back."""
    sign = -1 if withdrawn else 1
    fee = FEE_MINOR if withdrawn else -FEE_MINOR
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": sign * dispute["amount"],
        "available_on": work.now,
        "balance_type": "payments",
        "created": work.now,
        "currency": dispute["currency"],
        "description": f"Chargeback {'withdrawal' if withdrawn else 'reversal'} for {dispute['charge']}",
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [
            {
                "amount": fee,
                "application": None,
                "currency": dispute["currency"],
                "description": "Dispute fee" if withdrawn else "Dispute fee refund",
                "type": "stripe_fee",
            }
        ],
        "net": sign * dispute["amount"] - fee,
        "reporting_category": "dispute" if withdrawn else "dispute_reversal",
        "source": dispute["id"],
        "status": "available",
        "type": "adjustment",
    }


def close_dispute(work: Work, dispute_id: str, status: str) -> Body:
    """It ends: a dispute ``won`` or ``lost``, an inquiry ``warning_closed``. A won one gives the money back."""
    dispute = work.store.get("dispute", dispute_id)
    if dispute["status"] in {"won", "lost", "warning_closed"}:
        raise invalid("This dispute is already closed.")
    possible = _ENDS[dispute["status"] in INQUIRIES]
    if status not in possible:
        raise invalid(f"This dispute can only end as {' or '.join(sorted(possible))}.", param="status")
    after = dispute | {"status": status}
    events = ["charge.dispute.closed"]
    if status == "won":
        charge = work.store.get("charge", dispute["charge"])
        work.update(charge, charge | {"disputed": False}, "charge.updated")
        after["balance_transactions"] = [*dispute["balance_transactions"], _booked(work, dispute, withdrawn=False)]
        events.append("charge.dispute.funds_reinstated")
    return work.update(dispute, after, *events)


def close(work: Work, params: Body, dispute: str) -> Body:
    """POST /v1/disputes/:id/close: accept the loss."""
    del params
    return close_dispute(work, dispute, "lost")


ROUTES = (
    listing("/v1/disputes", "DisputeList", "dispute", charge="parent", payment_intent="tag"),
    retrieving("/v1/disputes/:dispute", "DisputeRetrieve", "dispute"),
    route("POST", "/v1/disputes/:dispute/close", "DisputeClose", close),
)
