"""How an open invoice ends without a payment: voided, written off, or lowered to zero by credit notes."""

from __future__ import annotations

from . import customer_balance, invoice_payments
from .errors import invalid
from .indexing import Body
from .routes import route
from .work import Work


def void(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/void: open or uncollectible and nothing of it paid; an applied balance goes back."""
    del params
    before = work.store.get("invoice", invoice)
    if before["status"] not in {"open", "uncollectible"}:
        article = "an" if before["status"][0] in "aeiou" else "a"
        raise invalid(
            f"You can only pass in open or uncollectible invoices. This invoice isn't: it is {article} "
            f"{before['status']} invoice."
        )
    if before["amount_paid"]:
        raise invalid(
            "You can't void an invoice that has been paid in part. Create a credit note, or mark it as uncollectible.",
            code="invoice_not_editable",
        )
    if invoice_payments.processing(work, invoice):
        raise invalid("You can't void an invoice with a payment that is processing.", code="invoice_not_editable")
    invoice_payments.cancel_open(work, invoice)
    restored = before["starting_balance"] - before["ending_balance"]
    customer = work.store.get("customer", before["customer"], tombstones=True)
    if restored and not customer.get("deleted"):
        customer_balance.change(
            work, customer, before["currency"], restored, "unapplied_from_invoice", invoice=before["id"]
        )
    transitions = before["status_transitions"] | {"voided_at": work.now}
    after = before | {"next_payment_attempt": None, "status": "void", "status_transitions": transitions}
    return work.update(before, after, "invoice.updated", "invoice.voided")


def mark_uncollectible(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/mark_uncollectible: open invoices only."""
    del params
    before = work.store.get("invoice", invoice)
    if before["status"] != "open":
        raise invalid(f"You can only mark open invoices as uncollectible; this one is {before['status']}.")
    transitions = before["status_transitions"] | {"marked_uncollectible_at": work.now}
    after = before | {
        "next_payment_attempt": None,
        "status": "uncollectible",
        "status_transitions": transitions,
    }
    return work.update(before, after, "invoice.updated", "invoice.marked_uncollectible")


def settle_open(work: Work, invoice: Body, *, pre_minor: int, post_minor: int) -> Body:
    """Book a credit note: the open amount falls by ``pre_minor``; at zero the invoice is paid."""
    after = invoice | {
        "amount_due": invoice["amount_due"] - pre_minor,
        "amount_remaining": invoice["amount_remaining"] - pre_minor,
        "post_payment_credit_notes_amount": invoice["post_payment_credit_notes_amount"] + post_minor,
        "pre_payment_credit_notes_amount": invoice["pre_payment_credit_notes_amount"] + pre_minor,
    }
    if not pre_minor:
        return work.update(invoice, after, "invoice.updated")
    if after["amount_remaining"] == 0:
        invoice_payments.cancel_open(work, invoice["id"])
        return invoice_payments.paid(work, after, attempted=invoice["attempted"])
    invoice_payments.ask_for_remaining(work, after)
    return work.update(invoice, after, "invoice.updated")


ROUTES = (
    route("POST", "/v1/invoices/:invoice/void", "InvoiceVoidInvoice", void),
    route("POST", "/v1/invoices/:invoice/mark_uncollectible", "InvoiceMarkUncollectible", mark_uncollectible),
)
