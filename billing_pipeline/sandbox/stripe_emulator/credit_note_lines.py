"""The lines of a credit note: a sum of its own, or parts of the invoice's lines, never more than is left of them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from .errors import invalid
from .indexing import Body
from .store import new_id
from .work import Work, merged_metadata, text_or_none


def new_lines(work: Work, invoice: Body, earlier: list[Body], params: Body) -> list[Body]:
    """The lines that a request asks for; ``earlier`` are the credit notes that the invoice has already."""
    if ("amount" in params) == ("lines" in params):
        raise invalid("You must specify exactly one of `amount` and `lines`.", code="parameter_missing")
    if "amount" in params:
        return [_line(params["amount"], "custom_line_item", None, {})]
    return [
        _credited_line(work, invoice, earlier, fields, f"lines[{index}]")
        for index, fields in enumerate(params["lines"])
    ]


def _credited_line(work: Work, invoice: Body, earlier: list[Body], fields: Body, path: str) -> Body:
    if fields["type"] == "custom_line_item":
        amount = _unit_amount(fields, path) * fields.get("quantity", 1)
        return _line(int(amount.quantize(Decimal(1), ROUND_HALF_UP)), "custom_line_item", None, fields)
    if "invoice_line_item" not in fields:
        raise invalid("Missing required param.", code="parameter_missing", param=f"{path}[invoice_line_item]")
    line = work.store.get("line_item", fields["invoice_line_item"], f"{path}[invoice_line_item]")
    if line["invoice"] != invoice["id"]:
        raise invalid("The line item belongs to another invoice.", param=f"{path}[invoice_line_item]")
    if "amount" in fields:
        amount_minor = fields["amount"]
    elif "quantity" in fields and line["quantity"]:
        exact = Decimal(line["amount"]) * fields["quantity"] / line["quantity"]
        amount_minor = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    else:
        amount_minor = line["amount"]
    credited = sum(
        note_line["amount"]
        for note in earlier
        if note["status"] == "issued"
        for note_line in note["lines"]["data"]
        if note_line.get("invoice_line_item") == line["id"]
    )
    if amount_minor + credited > line["amount"]:
        raise invalid("A line item can't be credited by more than its amount.", param=f"{path}[amount]")
    fields = {"description": line["description"]} | fields
    return _line(amount_minor, "invoice_line_item", line["id"], fields)


def _unit_amount(fields: Body, path: str) -> Decimal:
    for name in ("unit_amount", "unit_amount_decimal"):
        if name in fields:
            return Decimal(fields[name])
    raise invalid("Missing required param.", code="parameter_missing", param=f"{path}[unit_amount]")


def _line(amount_minor: int, type_: str, invoice_line: str | None, fields: Body) -> Body:
    unit: Any = fields.get("unit_amount", fields.get("unit_amount_decimal"))
    credited = {"invoice_line_item": invoice_line} if invoice_line else {}
    return credited | {
        "id": new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount_minor,
        "description": text_or_none(fields, "description"),
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": merged_metadata(None, fields.get("metadata")),
        "pretax_credit_amounts": [],
        "quantity": fields.get("quantity"),
        "tax_rates": [],
        "taxes": [],
        "type": type_,
        "unit_amount": fields.get("unit_amount"),
        "unit_amount_decimal": str(unit) if unit is not None else None,
    }
