"""The lines of an invoice: their shape, their price, and the sums that an invoice takes from them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from . import catalog, currencies
from .catalog import plain
from .errors import StripeError, invalid
from .indexing import Body
from .listing import sublist
from .store import new_id
from .work import Work, merged_metadata, text_or_none

LINES_MAX = 250
LINE = (
    "amount description discountable metadata period pricing price_data.currency price_data.product "
    "price_data.product_data.name price_data.product_data.description price_data.product_data.metadata "
    "price_data.product_data.unit_label price_data.unit_amount price_data.unit_amount_decimal "
    "quantity quantity_decimal"
)
"""The parameters of a line that the emulator knows."""

LINES_EMBEDDED = 10


def new_line(work: Work, invoice: Body, params: Body, parent: Body, path: str) -> Body:
    """A line item from `amount`, or from a quantity times a price (rounded once, half away from zero)."""
    amount, quantity, pricing = priced(work, params, invoice["currency"], path)
    period = params.get("period") or {"start": work.now, "end": work.now}
    if period["end"] < period["start"]:
        raise invalid("Invalid period: end must be greater than or equal to start.", param=f"{path}[period][end]")
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": text_or_none(params, "description") or pricing.get("description"),
        "discount_amounts": [],
        "discountable": params.get("discountable", amount >= 0),
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": merged_metadata(None, params.get("metadata")),
        "parent": parent,
        "period": {"end": period["end"], "start": period["start"]},
        "pretax_credit_amounts": [],
        "pricing": pricing["pricing"],
        "quantity": int(quantity) if quantity == int(quantity) else None,
        "quantity_decimal": plain(quantity),
        "subscription": None,
        "subtotal": amount,
        "taxes": [],
    }


def priced(work: Work, params: Body, currency: str, path: str) -> tuple[int, Decimal, Body]:
    """Amount in minor units, quantity, and ``{"pricing": …, "description": …}`` of a line or invoice item."""

    def where(name: str) -> str:
        return f"{path}[{name}]" if path else name

    quantities = [name for name in ("quantity", "quantity_decimal") if name in params]
    if len(quantities) > 1:
        raise exclusive(*quantities)
    quantity = Decimal(params[quantities[0]]) if quantities else Decimal(1)
    if quantity < 0:
        raise invalid("Invalid non-negative number.", param=where(quantities[0]))
    if "amount" in params:
        clash = [
            n for n in ("quantity", "quantity_decimal", "price_data", "pricing", "unit_amount_decimal") if n in params
        ]
        if clash:
            raise exclusive("amount", clash[0])
        currencies.check_step(params["amount"], currency, where("amount"))
        return params["amount"], quantity, {"pricing": amount_pricing(Decimal(params["amount"]))}
    unit_amount, pricing = catalog.unit_price(work, params, currency, path)
    exact = unit_amount * quantity
    amount = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    currencies.check_step(amount, currency, path or "unit_amount_decimal")
    return amount, quantity, pricing


def amount_pricing(unit_amount: Decimal) -> Body:
    """Stripe makes a one-time price behind the scenes for a line that only has an amount."""
    details = {"price": new_id("price"), "product": new_id("prod", 14)}
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": plain(unit_amount)}


def exclusive(first: str, second: str) -> StripeError:
    """Stripe's refusal of two parameters that exclude each other."""
    return invalid(
        f"You may only specify one of these parameters: {first}, {second}.",
        code="parameters_exclusive",
        param=first,
    )


def with_lines(invoice: Body, lines: list[Body]) -> Body:
    """The draft with these lines: embedded page, subtotal, total and what would be due now."""
    url = f"/v1/invoices/{invoice['id']}/lines"
    total = sum(line["amount"] for line in lines)
    changed = invoice | {
        "lines": sublist(lines[:LINES_EMBEDDED], url, has_more=len(lines) > LINES_EMBEDDED),
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
    }
    due = max(0, total + invoice["starting_balance"])
    return changed | {"amount_due": due, "amount_remaining": due}


def lines_of(work: Work, invoice: str) -> list[Body]:
    """All lines of an invoice in the order they were added."""
    return work.store.find("line_item", ("parent = ?", invoice))


def item_parent(invoice_item: str, subscription: str | None = None) -> Body:
    """The parent of a line that came from an invoice item."""
    details: dict[str, Any] = {
        "invoice_item": invoice_item,
        "proration": False,
        "proration_details": None,
        "subscription": subscription,
    }  # fmt: skip
    return {
        "invoice_item_details": details,
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }


def line_from_item(work: Work, invoice: Body, item: Body) -> Body:
    """The line that shows an invoice item."""
    fields = {name: item[name] for name in ("amount", "description", "discountable", "metadata", "period")}
    line = new_line(work, invoice, fields, item_parent(item["id"]), "")
    line |= {name: item[name] for name in ("pricing", "quantity_decimal")}
    return line | {"quantity": item["quantity"]}


def draft(work: Work, invoice: str, action: str) -> Body:
    """The invoice, if it is still a draft."""
    found = work.store.get("invoice", invoice)
    if found["status"] != "draft":
        raise invalid(f"You can only {action} draft invoices.", code="invoice_not_editable")
    return found
