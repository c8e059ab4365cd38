"""The lines of a draft: adding, changing and removing them, one or many at a time."""

from __future__ import annotations

from typing import Any

from .errors import StripeError, invalid
from .indexing import Body
from .invoice_items import assign, line_with_item
from .line_objects import LINE, LINES_MAX, draft, exclusive, lines_of, new_line, with_lines
from .listing import Page, page
from .routes import list_route, route
from .work import Work, merged_metadata


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


def add_lines(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/add_lines: all of the lines or none."""
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
            line = assign(work, before, fields["invoice_item"], path)
        else:
            line = line_with_item(work, before, fields, path)
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


MANY = " ".join(f"lines.{name}" for name in f"{LINE} invoice_item".split())
ROUTES = (
    list_route("/v1/invoices/:invoice/lines", "InvoiceLineItemList", list_lines, ""),
    route("POST", "/v1/invoices/:invoice/lines/:line", "InvoiceLineItemUpdate", update_line, LINE),
    route("POST", "/v1/invoices/:invoice/add_lines", "InvoiceAddLines", add_lines, f"{MANY} invoice_metadata"),
    route(
        "POST",
        "/v1/invoices/:invoice/update_lines",
        "InvoiceUpdateLines",
        update_lines,
        f"{MANY} lines.id invoice_metadata",
    ),
    route("POST", "/v1/invoices/:invoice/remove_lines", "InvoiceRemoveLines", remove_lines, "lines invoice_metadata"),
)
