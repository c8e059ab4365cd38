"""Revising an open invoice: a new draft that takes its place when it is finalised.

Source: https://docs.stripe.com/invoicing/invoice-edits.
"""

from __future__ import annotations

from .errors import invalid
from .indexing import Body
from .invoice_items import line_with_item
from .line_objects import lines_of
from .work import Work

COPIED = (
    "collection_method", "currency", "custom_fields", "default_payment_method", "description", "due_date", "footer",
    "metadata", "parent", "period_end", "period_start", "statement_descriptor",
)  # fmt: skip


def revisable(work: Work, reference: Body) -> Body:
    """The invoice that ``from_invoice`` names; only an open one of which nothing is paid can be revised."""
    original = work.store.get("invoice", reference["invoice"], "from_invoice[invoice]")
    if original["status"] not in {"open", "uncollectible"} or original["amount_paid"]:
        raise invalid("You can only revise an open invoice that has no payments.", param="from_invoice[invoice]")
    return original


def copied(original: Body) -> Body:
    """The fields that a revision takes over."""
    return {name: original[name] for name in COPIED} | {
        "from_invoice": {"action": "revision", "invoice": original["id"]}
    }


def copied_lines(work: Work, original: Body, revision: Body) -> list[Body]:
    """The lines that a revision begins with."""
    fresh = []
    for line in lines_of(work, original["id"]):
        fields = {name: line[name] for name in ("amount", "description", "discountable", "metadata", "period")}
        copy = line_with_item(work, revision, fields, "lines")
        copy |= {name: line[name] for name in ("pricing", "quantity", "quantity_decimal", "subscription")}
        work.store.insert(copy, created=work.now)
        fresh.append(copy)
    return fresh
