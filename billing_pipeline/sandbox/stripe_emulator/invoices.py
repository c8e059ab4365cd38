"""Invoice operations on drafts and lists. Finalising, paying and ending an invoice is `collection`'s work."""

from __future__ import annotations

from typing import Any

from . import currencies, customers, payment_methods
from .errors import StripeError, invalid
from .indexing import Body
from .invoice_objects import (
    AUTO_ADVANCE_S,
    LINES_MAX,
    due_date,
    exclusive,
    item_parent,
    lines_of,
    new_invoice,
    new_line,
    with_lines,
)
from .listing import Page, equals, interval, page
from .work import Work, merged_metadata, text_or_none

PLAIN_TEXTS = ("description", "footer", "statement_descriptor")
EDITABLE_WHEN_OPEN = frozenset({"metadata", "auto_advance", "default_payment_method", "expand"})


def create(work: Work, params: Body) -> Body:
    """POST /v1/invoices."""
    customer = customers.live(work, params)
    currency = currencies.known(params["currency"]) if "currency" in params else customer["currency"] or "usd"
    if params.get("default_payment_method"):
        payment_methods.attached(work, customer["id"], params["default_payment_method"], "default_payment_method")
    invoice = new_invoice(work, customer, currency, params, customers.balance(customer, currency))
    invoice = with_lines(invoice, [])
    if params.get("pending_invoice_items_behavior") == "include":
        pending = work.store.find("invoiceitem", ("customer = ?", customer["id"]), ("status = ?", "pending"))
        pending = [item for item in pending if item["currency"] == currency][:LINES_MAX]
        for item in pending:
            work.store.replace(item | {"invoice": invoice["id"]})
        lines = [line_from_item(work, invoice, item) for item in pending]
        for line in lines:
            work.store.insert(line, created=work.now)
        invoice = with_lines(invoice, lines)
    if customer["currency"] is None:
        work.update(customer, customer | {"currency": currency}, "customer.updated")
    return work.create(invoice, "invoice.created")


def line_from_item(work: Work, invoice: Body, item: Body) -> Body:
    """The line that shows an invoice item."""
    fields = {name: item[name] for name in ("amount", "description", "discountable", "metadata", "period")}
    line = new_line(work, invoice, fields, item_parent(item["id"]), "")
    line |= {name: item[name] for name in ("pricing", "quantity_decimal")}
    return line | {"quantity": item["quantity"]}


def retrieve(work: Work, params: Body, invoice: str) -> str:
    """GET /v1/invoices/:id."""
    del params
    return work.store.text("invoice", invoice)


def list_all(work: Work, params: Body) -> Page:
    """GET /v1/invoices."""
    filters = equals(
        params, customer="customer", status="status", collection_method="tag", subscription="parent"
    ) + interval("json_extract(body, '$.due_date')", params.get("due_date"))
    return page(work, "invoice", params, "/v1/invoices", filters)


def list_lines(work: Work, params: Body, invoice: str) -> Page:
    """GET /v1/invoices/:id/lines."""
    work.store.text("invoice", invoice)
    return page(
        work,
        "line_item",
        params,
        f"/v1/invoices/{invoice}/lines",
        [("parent = ?", invoice)],
        oldest_first=True,
    )


def draft(work: Work, invoice: str, action: str) -> Body:
    """The invoice, if it is still a draft."""
    found = work.store.get("invoice", invoice)
    if found["status"] != "draft":
        raise invalid(f"You can only {action} draft invoices.", code="invoice_not_editable")
    return found


def update(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id. Once finalised, only metadata and how it is collected may change."""
    before = work.store.get("invoice", invoice)
    fixed = set(params) - EDITABLE_WHEN_OPEN
    if before["status"] != "draft" and fixed:
        raise invalid(
            f"Finalized invoices can't be updated in this way: {', '.join(sorted(fixed))}.",
            code="invoice_not_editable",
            param=min(fixed),
        )
    if before["status"] in {"paid", "void"} and "auto_advance" in params:
        raise invalid(f"You cannot change auto_advance of an invoice that is {before['status']}.", param="auto_advance")
    if params.get("default_payment_method"):
        payment_methods.attached(work, before["customer"], params["default_payment_method"], "default_payment_method")
    after = before | {name: text_or_none(params, name) for name in PLAIN_TEXTS if name in params}
    after["metadata"] = merged_metadata(before["metadata"], params.get("metadata"))
    for name in ("default_payment_method", "number", "effective_at", "custom_fields"):
        if name in params:
            after[name] = params[name] or None
    if "collection_method" in params:
        after["collection_method"] = params["collection_method"]
    if {"collection_method", "due_date", "days_until_due"} & set(params):
        after["due_date"] = due_date(work, after["collection_method"], params)
    _reschedule(work, after, params)
    return work.update(before, after, "invoice.updated")


def _reschedule(work: Work, after: Body, params: Body) -> None:
    if "auto_advance" in params:
        after["auto_advance"] = params["auto_advance"]
        at = work.now + AUTO_ADVANCE_S if params["auto_advance"] else None
        after["automatically_finalizes_at"] = at if after["status"] == "draft" else None
        after["next_payment_attempt"] = at if after["collection_method"] == "charge_automatically" else None
    if params.get("automatically_finalizes_at"):
        after["automatically_finalizes_at"] = params["automatically_finalizes_at"]


def delete(work: Work, params: Body, invoice: str) -> Body:
    """DELETE /v1/invoices/:id: drafts only; their invoice items are pending again."""
    del params
    found = draft(work, invoice, "delete")
    for item in work.store.find("invoiceitem", ("parent = ?", invoice)):
        work.store.replace(item | {"invoice": None})
    work.store.delete(invoice)
    work.announce("invoice.deleted", found)
    return {"id": invoice, "object": "invoice", "deleted": True}


def add_lines(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/add_lines: all of the lines or none."""
    from . import invoice_items

    before = draft(work, invoice, "add lines to")
    lines = lines_of(work, invoice)
    if not params["lines"]:
        raise invalid("Invalid array: lines must not be empty.", param="lines")
    if len(lines) + len(params["lines"]) > LINES_MAX:
        raise invalid(f"Invoices can have at most {LINES_MAX} line items.", param="lines")
    for index, fields in enumerate(params["lines"]):
        path = f"lines[{index}]"
        if "invoice_item" in fields:
            if set(fields) != {"invoice_item"}:
                raise exclusive("invoice_item", min(set(fields) - {"invoice_item"}))
            line = invoice_items.assign(work, before, fields["invoice_item"], path)
        else:
            line = invoice_items.line_with_item(work, before, fields, path)
        work.store.insert(line, created=work.now)
        lines.append(line)
    return work.update(before, _changed(before, lines, params), "invoice.updated")


def update_lines(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/update_lines."""
    before = draft(work, invoice, "update lines of")
    lines = {line["id"]: line for line in lines_of(work, invoice)}
    for index, fields in enumerate(params["lines"]):
        path = f"lines[{index}]"
        lines[fields["id"]] = changed_line(work, before, _line(lines, fields["id"], path), fields, path)
    return work.update(before, _changed(before, list(lines.values()), params), "invoice.updated")


def remove_lines(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/remove_lines, with behaviour delete or unassign."""
    before = draft(work, invoice, "remove lines from")
    lines = {line["id"]: line for line in lines_of(work, invoice)}
    for index, fields in enumerate(params["lines"]):
        line = _line(lines, fields["id"], f"lines[{index}]")
        item = (line["parent"].get("invoice_item_details") or {}).get("invoice_item")
        if item and fields["behavior"] == "unassign":
            work.store.replace(work.store.get("invoiceitem", item) | {"invoice": None})
        elif item:
            work.store.delete(item)
        work.store.delete(line["id"])
        del lines[line["id"]]
    return work.update(before, _changed(before, list(lines.values()), params), "invoice.updated")


def update_line(work: Work, params: Body, invoice: str, line: str) -> Body:
    """POST /v1/invoices/:id/lines/:id."""
    before = draft(work, invoice, "update lines of")
    lines = {found["id"]: found for found in lines_of(work, invoice)}
    lines[line] = changed_line(work, before, _line(lines, line, ""), params, "")
    work.update(before, _changed(before, list(lines.values()), {}), "invoice.updated")
    return lines[line]


def changed_line(work: Work, invoice: Body, line: Body, fields: Body, path: str) -> Body:
    """A stored line with some of its fields replaced; price and quantity only together."""
    pricing = {"amount", "quantity", "quantity_decimal", "price_data", "pricing"} & set(fields)
    if pricing:
        base = {
            "description": line["description"],
            "period": line["period"],
            "discountable": line["discountable"],
        }
        fresh = new_line(work, invoice, base | fields, line["parent"], path)
        after = fresh | {"id": line["id"]}
    else:
        after = line | {name: fields[name] for name in ("description", "discountable", "period") if name in fields}
    after["metadata"] = merged_metadata(line["metadata"], fields.get("metadata"))
    work.store.replace(after)
    return after


def _changed(invoice: Body, lines: list[Body], params: Body) -> Body:
    after = with_lines(invoice, lines)
    after["metadata"] = merged_metadata(invoice["metadata"], params.get("invoice_metadata"))
    return after


def _line(lines: dict[str, Any], line: str, path: str) -> Body:
    if line not in lines:
        raise StripeError(
            400 if path else 404,
            "invalid_request_error",
            f"No such line item: '{line}'",
            code="resource_missing",
            param=f"{path}[id]" if path else "id",
        )
    found: Body = lines[line]
    return found
