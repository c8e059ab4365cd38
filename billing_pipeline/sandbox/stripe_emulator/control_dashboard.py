"""What a person does in Stripe's dashboard, behind the back of whoever uses the API. Each has Stripe's events.

Functions of the control surface: they take the unit of work and the JSON fields, and return the changed object.
"""

from __future__ import annotations

from . import (
    collection,
    customer_deletion,
    finalising,
    invoice_endings,
    invoice_lines,
    invoice_payments,
    invoices,
    payment_methods,
    refunds,
)
from .errors import invalid
from .indexing import Body
from .line_objects import lines_of
from .work import Work


def revise(work: Work, fields: Body) -> Body:
    """``{"lines": [{"amount": 1300, "description": "…"}]}``: a new invoice takes the place of an open one.

    ``keep_metadata`` (true): whether the revision has the metadata of the invoice that it revises. ``finalize`` (true):
    false leaves the revision a draft, and the revised invoice open. Returns the revision.
    """
    revision = invoices.create(work, {"from_invoice": {"action": "revision", "invoice": fields["invoice"]}})
    if not fields.get("keep_metadata", True):
        invoices.update(work, {"metadata": ""}, revision["id"])
    if "lines" in fields:
        old = [{"id": line["id"], "behavior": "delete"} for line in lines_of(work, revision["id"])]
        if old:
            invoice_lines.remove_lines(work, {"lines": old}, revision["id"])
        invoice_lines.add_lines(work, {"lines": fields["lines"]}, revision["id"])
    if fields.get("finalize", True):
        finalising.finalize(work, {}, revision["id"])
    return work.store.get("invoice", revision["id"])


def void(work: Work, fields: Body) -> Body:
    """Void an invoice."""
    return invoice_endings.void(work, {}, fields["invoice"])


def mark_uncollectible(work: Work, fields: Body) -> Body:
    """Write an invoice off."""
    return invoice_endings.mark_uncollectible(work, {}, fields["invoice"])


def mark_paid(work: Work, fields: Body) -> Body:
    """The invoice was paid outside Stripe."""
    return collection.pay(work, {"paid_out_of_band": True}, fields["invoice"])


def charge_customer(work: Work, fields: Body) -> Body:
    """``{"amount_minor": 1000}``: charge a part of an open invoice, all of it by default. A refusal is a 402."""
    invoice = work.store.get("invoice", fields["invoice"])
    method = collection.chosen_method(work, invoice, fields.get("payment_method"))
    amount_minor = fields.get("amount_minor", invoice["amount_remaining"])
    if not isinstance(amount_minor, int):
        raise invalid("`amount_minor` must be an integer.", param="amount_minor")
    after, refusal = invoice_payments.charge_part(work, invoice["id"], amount_minor, method)
    if refusal is not None:
        raise refusal
    return after


def refund(work: Work, fields: Body) -> Body:
    """``{"amount_minor": 500}``: give a charge back, all that is left of it by default. Returns the refund."""
    charge = work.store.get("charge", fields["charge"])
    return refunds.refund(work, charge, fields.get("amount_minor"), fields.get("reason"), None)


def delete_customer(work: Work, fields: Body) -> Body:
    """Delete a customer; what was finalised stays."""
    return customer_deletion.delete(work, {}, fields["customer"])


def detach(work: Work, fields: Body) -> Body:
    """Take a payment method away from its customer."""
    return payment_methods.detach(work, {}, fields["payment_method"])


ACTIONS = (
    ("/dashboard/invoices/{invoice}/revise", revise),
    ("/dashboard/invoices/{invoice}/void", void),
    ("/dashboard/invoices/{invoice}/mark_uncollectible", mark_uncollectible),
    ("/dashboard/invoices/{invoice}/mark_paid", mark_paid),
    ("/dashboard/invoices/{invoice}/charge_customer", charge_customer),
    ("/dashboard/charges/{charge}/refund", refund),
    ("/dashboard/customers/{customer}/delete", delete_customer),
    ("/dashboard/payment_methods/{payment_method}/detach", detach),
)
