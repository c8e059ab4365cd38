"""Credit notes: what they may credit, and where the money goes.

Source: https://docs.stripe.com/invoicing/integration/programmatic-credit-notes.
"""

from __future__ import annotations

from . import customer_balance, refunds
from .credit_note_lines import new_lines
from .errors import invalid
from .indexing import Body
from .invoice_endings import settle_open
from .listing import sublist
from .routes import listing, retrieving, route
from .store import new_id
from .work import Work, merged_metadata, text_or_none


def create(work: Work, params: Body) -> Body:
    """POST /v1/credit_notes for an open, paid or uncollectible invoice; never more than is left of it."""
    invoice = work.store.get("invoice", params["invoice"], "invoice")
    if invoice["status"] not in {"open", "paid", "uncollectible"}:
        raise invalid(f"You can't create a credit note for an invoice that is {invoice['status']}.", param="invoice")
    earlier = work.store.find("credit_note", ("parent = ?", invoice["id"]))
    note_id = new_id("cn")
    lines = new_lines(work, invoice, earlier, params)
    total = sum(line["amount"] for line in lines)
    if total <= 0:
        raise invalid("The total of a credit note must be positive.", param="amount")
    credited = sum(note["total"] for note in earlier if note["status"] == "issued")
    if total > invoice["total"] - credited:
        raise invalid(
            f"The sum of credit notes ({credited + total}) must not be greater than the invoice total "
            f"({invoice['total']}).",
            param="amount",
        )
    pre = min(total, invoice["amount_remaining"])
    post = total - pre
    shares = {name: params.get(f"{name}_amount", 0) for name in ("credit", "refund", "out_of_band")}
    linked = _linked_refunds(work, params)
    shares["linked"] = sum(item["amount_refunded"] for item in linked)
    if sum(shares.values()) != post or min(shares.values()) < 0:
        raise invalid(
            f"The sum of credit amount, refund amount and out of band amount ({sum(shares.values())}) must "
            f"equal the post payment amount ({post}).",
        )
    if shares["refund"]:
        made = refunds.refund(work, _charge(work, invoice), shares["refund"], None, None)
        linked.append({"amount_refunded": made["amount"], "refund": made["id"]})
    transaction = None
    if shares["credit"]:
        customer = work.store.get("customer", invoice["customer"], "customer")
        customer_balance.change(
            work, customer, invoice["currency"], -shares["credit"], "credit_note",
            invoice=invoice["id"], credit_note=note_id,
        )  # fmt: skip
        booked = work.store.find("customer_balance_transaction", ("customer = ?", customer["id"]), newest_first=True)
        transaction = booked[0]["id"]
    body: Body = {
        "id": note_id,
        "object": "credit_note",
        "amount": total,
        "amount_shipping": 0,
        "created": work.now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": transaction,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": params.get("effective_at", work.now),
        "invoice": invoice["id"],
        "lines": sublist(lines[:10], f"/v1/credit_notes/{note_id}/lines", has_more=len(lines) > 10),
        "livemode": False,
        "memo": text_or_none(params, "memo"),
        "metadata": merged_metadata(None, params.get("metadata")),
        "number": f"{invoice['number']}-CN-{len(earlier) + 1:02d}",
        "out_of_band_amount": shares["out_of_band"] or None,
        "pdf": f"https://pay.stripe.com/credit_notes/acct_emulated/{note_id}/pdf",
        "post_payment_amount": post,
        "pre_payment_amount": pre,
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [item | {"payment_record_refund": None, "type": "refund"} for item in linked],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
        "total_taxes": [],
        "type": ("mixed" if pre and post else "pre_payment" if pre else "post_payment"),
        "voided_at": None,
    }
    work.create(body, "credit_note.created")
    settle_open(work, invoice, pre_minor=pre, post_minor=post)
    return body


def _charge(work: Work, invoice: Body) -> Body:
    for payment in work.store.find("invoice_payment", ("parent = ?", invoice["id"]), ("status = ?", "paid")):
        intent = work.store.get("payment_intent", payment["payment"]["payment_intent"])
        return work.store.get("charge", intent["latest_charge"])
    raise invalid("The invoice has no payment that could be refunded.", param="refund_amount")


def _linked_refunds(work: Work, params: Body) -> list[Body]:
    linked = []
    for index, item in enumerate(params.get("refunds", [])):
        if "refund" not in item:
            raise invalid(
                "Missing required param: refund.", code="parameter_missing", param=f"refunds[{index}][refund]"
            )
        made = work.store.get("refund", item["refund"], f"refunds[{index}][refund]")
        amount = item.get("amount_refunded", made["amount"])
        if not 0 < amount <= made["amount"]:
            raise invalid("The linked amount must not exceed the refund.", param=f"refunds[{index}][amount_refunded]")
        linked.append({"amount_refunded": amount, "refund": made["id"]})
    return linked


def update(work: Work, params: Body, credit_note: str) -> Body:
    """POST /v1/credit_notes/:id: memo and metadata."""
    before = work.store.get("credit_note", credit_note)
    after = before | {"metadata": merged_metadata(before["metadata"], params.get("metadata"))}
    if "memo" in params:
        after["memo"] = params["memo"] or None
    return work.update(before, after, "credit_note.updated")


def void(work: Work, params: Body, credit_note: str) -> Body:
    """POST /v1/credit_notes/:id/void: only for one that lowered an invoice that is still open."""
    del params
    before = work.store.get("credit_note", credit_note)
    invoice = work.store.get("invoice", before["invoice"])
    if before["status"] == "void":
        raise invalid("This credit note is already voided.")
    if before["type"] != "pre_payment" or invoice["status"] != "open":
        raise invalid("You can only void a credit note of an open invoice.")
    settle_open(work, invoice, pre_minor=-before["total"], post_minor=0)
    return work.update(before, before | {"status": "void", "voided_at": work.now}, "credit_note.voided")


ROUTES = (
    route(
        "POST",
        "/v1/credit_notes",
        "CreditNoteCreate",
        create,
        "invoice amount credit_amount refund_amount out_of_band_amount refunds.refund "
        "refunds.amount_refunded refunds.type lines.amount lines.description lines.invoice_line_item "
        "lines.quantity lines.type lines.unit_amount lines.unit_amount_decimal lines.metadata memo "
        "metadata reason email_type effective_at",
    ),
    listing("/v1/credit_notes", "CreditNoteList", "credit_note", customer="customer", invoice="parent"),
    retrieving("/v1/credit_notes/:credit_note", "CreditNoteRetrieve", "credit_note"),
    route("POST", "/v1/credit_notes/:credit_note", "CreditNoteUpdate", update, "memo metadata"),
    route("POST", "/v1/credit_notes/:credit_note/void", "CreditNoteVoidCreditNote", void),
)
