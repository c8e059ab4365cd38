"""The shape of an invoice without its lines; no state changes.

A field that Stripe's contract never sends as null (`threshold_reason`, `status_details`) is left out while it has no
value; the same holds in every module that makes objects.
"""

from __future__ import annotations

from .errors import invalid
from .indexing import Body
from .listing import sublist
from .store import new_id
from .work import Work, merged_metadata, text_or_none

AUTO_ADVANCE_S = 3_600


def new_invoice(work: Work, customer: Body, currency: str, params: Body, starting_balance: int) -> Body:
    """A draft without lines."""
    invoice_id = new_id("in")
    auto_advance = params.get("auto_advance", False)
    finalizes_at = params.get("automatically_finalizes_at") or (work.now + AUTO_ADVANCE_S if auto_advance else None)
    method = params.get("collection_method", "charge_automatically")
    return {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Stripe emulator",
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": auto_advance,
        "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None
        },
        "automatically_finalizes_at": finalizes_at,
        "billing_reason": "manual",
        "collection_method": method,
        "created": work.now,
        "currency": currency,
        "custom_fields": params.get("custom_fields") or None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": params.get("default_payment_method") or None,
        "default_source": None,
        "default_tax_rates": [],
        "description": text_or_none(params, "description"),
        "discounts": [],
        "due_date": due_date(work, method, params),
        "effective_at": params.get("effective_at") or None,
        "ending_balance": None,
        "footer": text_or_none(params, "footer"),
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": sublist([], f"/v1/invoices/{invoice_id}/lines"),
        "livemode": False,
        "metadata": merged_metadata(None, params.get("metadata")),
        "next_payment_attempt": finalizes_at if method == "charge_automatically" else None,
        "number": params.get("number") or None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None
        },
        "period_end": work.now,
        "period_start": work.now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": starting_balance,
        "statement_descriptor": text_or_none(params, "statement_descriptor"),
        "status": "draft",
        "status_transitions": {
            "finalized_at": None, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }  # fmt: skip


def due_date(work: Work, collection_method: str, params: Body) -> int | None:
    """When an emailed invoice is due; Stripe refuses a due date on one that is charged automatically."""
    days, date = params.get("days_until_due"), params.get("due_date")
    if collection_method == "charge_automatically":
        if days is not None or date is not None:
            name = "due_date" if days is None else "days_until_due"
            raise invalid(
                f"You can only set {name} on an invoice if `collection_method` is `send_invoice`.", param=name
            )
        return None
    if days is None and date is None:
        raise invalid(
            "If invoice collection method is `send_invoice`, you must specify `due_date` or `days_until_due`.",
            code="parameter_missing",
        )
    return date if date is not None else work.now + int(days or 0) * 86_400


def hosted_addresses(work: Work, invoice_id: str) -> Body:
    """Where a finalised invoice can be paid and read (`hosted_pages`)."""
    page = f"{work.base_url}/hosted/invoice/{invoice_id}"
    return {"hosted_invoice_url": page, "invoice_pdf": f"{page}?pdf"}
