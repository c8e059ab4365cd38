"""Finalising an invoice: its number, the customer's balance, and what is due.

Sources: https://docs.stripe.com/invoicing/overview (life cycle),
https://docs.stripe.com/billing/customer/balance (applied balance, totals below the minimum charge),
https://docs.stripe.com/invoicing/invoice-edits (revisions).
"""

from __future__ import annotations

from . import currencies, customer_balance, invoice_endings, invoice_payments
from .errors import invalid
from .indexing import Body
from .invoice_objects import AUTO_ADVANCE_S, hosted_addresses
from .routes import route
from .work import Work


def finalize(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/finalize."""
    before = work.store.get("invoice", invoice)
    if before["status"] != "draft":
        raise invalid(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            code="invoice_not_editable",
        )
    if "auto_advance" in params:
        before = before | {"auto_advance": params["auto_advance"]}
    return finalise(work, before)


def finalise(work: Work, before: Body) -> Body:
    """Number, applied balance, and an open invoice with a payment intent or one that is paid at once."""
    customer = work.store.get("customer", before["customer"], "customer")
    currency = before["currency"]
    starting = customer_balance.of(customer, currency)
    needed = before["total"] + starting
    below_minimum = 0 < needed < currencies.minimum_minor(currency)
    due = 0 if below_minimum else max(0, needed)
    if due > currencies.CHARGE_MAX_MINOR:
        raise invalid(
            f"Amount must be no more than {currencies.CHARGE_MAX_MINOR} minor units.", code="amount_too_large"
        )
    ending = needed - due
    if ending != starting:
        customer = customer_balance.change(
            work, customer, currency, ending - starting, "applied_to_invoice", invoice=before["id"]
        )
    sequence = customer["next_invoice_sequence"]
    work.store.replace(customer | {"next_invoice_sequence": sequence + 1})
    retry = before["auto_advance"] and due and before["collection_method"] == "charge_automatically"
    after = before | {
        "amount_due": due,
        "amount_remaining": due,
        "automatically_finalizes_at": None,
        "effective_at": before["effective_at"] or work.now,
        "ending_balance": ending,
        **hosted_addresses(work, before["id"]),
        "next_payment_attempt": work.now + AUTO_ADVANCE_S if retry else None,
        "number": before["number"] or f"{customer['invoice_prefix']}-{sequence:04d}",
        "starting_balance": starting,
        "status": "open",
        "status_transitions": before["status_transitions"] | {"finalized_at": work.now},
    }
    after = work.update(before, after, "invoice.finalized", "invoice.updated")
    if before["from_invoice"]:
        _replace_revised(work, before["from_invoice"]["invoice"], before["id"])
    if due == 0:
        return invoice_payments.paid(work, after, attempted=True)
    invoice_payments.begin(work, after, due, is_default=True)
    return after


def _replace_revised(work: Work, original: str, revision: str) -> None:
    """A finalised revision takes the place of the invoice that it revises, which is voided."""
    before = work.store.get("invoice", original)
    linked = work.update(before, before | {"latest_revision": revision}, "invoice.updated")
    if linked["status"] != "void":
        invoice_endings.void(work, {}, original)


def send(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/send: finalises a draft; no e-mail leaves the emulator, the event does."""
    del params
    before = work.store.get("invoice", invoice)
    if before["collection_method"] != "send_invoice":
        raise invalid("You can only send an invoice whose `collection_method` is `send_invoice`.")
    after = finalise(work, before) if before["status"] == "draft" else before
    work.announce("invoice.sent", after)
    return after


ROUTES = (
    route("POST", "/v1/invoices/:invoice/finalize", "InvoiceFinalizeInvoice", finalize, "auto_advance"),
    route("POST", "/v1/invoices/:invoice/send", "InvoiceSendInvoice", send),
)
