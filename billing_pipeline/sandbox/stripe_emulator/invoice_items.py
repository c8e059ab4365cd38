"""Invoice items: amounts that wait for an invoice, and the ones Stripe makes behind every added line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from . import currencies, customers
from .catalog import plain
from .errors import invalid
from .indexing import Body
from .line_objects import LINE, LINES_MAX, draft, item_parent, line_from_item, lines_of, new_line, priced, with_lines
from .listing import Page, equals, page
from .routes import list_route, retrieving, route
from .store import new_id
from .work import Work, merged_metadata, text_or_none


def _item(
    work: Work,
    customer: str,
    currency: str,
    invoice: str | None,
    fields: Body,
    price: tuple[int, Decimal, Body],
) -> Body:
    amount, quantity, pricing = price
    return {
        "id": new_id("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "date": work.now,
        "description": text_or_none(fields, "description") or pricing.get("description"),
        "discountable": fields.get("discountable", amount >= 0),
        "discounts": [],
        "invoice": invoice,
        "livemode": False,
        "metadata": merged_metadata(None, fields.get("metadata")),
        "net_amount": amount,
        "parent": None,
        "period": fields.get("period") or {"end": work.now, "start": work.now},
        "pricing": pricing["pricing"],
        "proration": False,
        "quantity": int(quantity),
        "quantity_decimal": plain(quantity),
        "tax_rates": [],
        "test_clock": None,
    }


def line_with_item(work: Work, invoice: Body, fields: Body, path: str) -> Body:
    """A new line of a draft, with its invoice item stored."""
    line = new_line(work, invoice, fields, item_parent(""), path)
    price = (line["amount"], Decimal(line["quantity_decimal"]), {"pricing": line["pricing"]})
    shown = {name: line[name] for name in ("description", "discountable", "metadata", "period")}
    item = _item(work, invoice["customer"], invoice["currency"], invoice["id"], shown, price)
    work.create(item, "invoiceitem.created")
    return line | {"parent": item_parent(item["id"])}


def assign(work: Work, invoice: Body, invoice_item: str, path: str) -> Body:
    """Take a pending item into a draft; returns its line."""
    item = work.store.get("invoiceitem", invoice_item, f"{path}[invoice_item]")
    if item["invoice"] is not None or item["customer"] != invoice["customer"]:
        raise invalid("The invoice item is already assigned or is another customer's.", param=f"{path}[invoice_item]")
    if item["currency"] != invoice["currency"]:
        raise invalid("The invoice item's currency must match the invoice's.", param=f"{path}[invoice_item]")
    work.store.replace(item | {"invoice": invoice["id"]})
    return line_from_item(work, invoice, item)


def create(work: Work, params: Body) -> Body:
    """POST /v1/invoiceitems: pending, or straight onto a draft."""
    customer = customers.live(work, params)
    target = draft(work, params["invoice"], "add invoice items to") if "invoice" in params else None
    default = target["currency"] if target else customer["currency"] or "usd"
    currency = currencies.known(params["currency"]) if "currency" in params else default
    if target is not None and target["currency"] != currency:
        raise invalid("The currency of the invoice item must match the invoice's.", param="currency")
    if target is not None and target["customer"] != customer["id"]:
        raise invalid("The invoice belongs to another customer.", param="invoice")
    item = _item(work, customer["id"], currency, params.get("invoice"), params, priced(work, params, currency, ""))
    work.create(item, "invoiceitem.created")
    if target is not None:
        lines = lines_of(work, target["id"])
        if len(lines) >= LINES_MAX:
            raise invalid(f"Invoices can have at most {LINES_MAX} line items.", param="invoice")
        line = line_from_item(work, target, item)
        work.store.insert(line, created=work.now)
        work.update(target, with_lines(target, [*lines, line]), "invoice.updated")
    return item


def delete(work: Work, params: Body, invoiceitem: str) -> Body:
    """DELETE /v1/invoiceitems/:id, pending or on a draft."""
    del params
    item = work.store.get("invoiceitem", invoiceitem)
    if item["invoice"] is not None:
        target = draft(work, item["invoice"], "delete items of")
        lines = lines_of(work, target["id"])
        kept = []
        for line in lines:
            if (line["parent"].get("invoice_item_details") or {}).get("invoice_item") == invoiceitem:
                work.store.delete(line["id"])
            else:
                kept.append(line)
        work.update(target, with_lines(target, kept), "invoice.updated")
    work.store.delete(invoiceitem)
    work.announce("invoiceitem.deleted", item)
    return {"id": invoiceitem, "object": "invoiceitem", "deleted": True}


def list_all(work: Work, params: Body) -> Page:
    """GET /v1/invoiceitems."""
    filters: list[tuple[str, Any]] = equals(params, customer="customer", invoice="parent")
    if "pending" in params:
        filters.append(("status = ?", "pending" if params["pending"] else "attached"))
    return page(work, "invoiceitem", params, "/v1/invoiceitems", filters)


ROUTES = (
    route(
        "POST",
        "/v1/invoiceitems",
        "InvoiceItemCreate",
        create,
        f"{LINE} customer currency invoice unit_amount_decimal",
    ),
    list_route("/v1/invoiceitems", "InvoiceItemList", list_all, "created customer invoice pending"),
    retrieving("/v1/invoiceitems/:invoiceitem", "InvoiceItemRetrieve", "invoiceitem"),
    route("DELETE", "/v1/invoiceitems/:invoiceitem", "InvoiceItemDelete", delete),
)
