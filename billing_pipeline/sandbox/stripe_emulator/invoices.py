"""Creating, changing, deleting and listing invoices.

Their lines are in `invoice_lines`; finalising, paying and ending them is in `collection`.
"""

from __future__ import annotations

from . import currencies, customer_balance, customers, payment_methods
from .errors import invalid
from .indexing import Body
from .invoice_objects import AUTO_ADVANCE_S, due_date, hosted_addresses, new_invoice
from .line_objects import LINES_MAX, draft, line_from_item, with_lines
from .listing import Page, equals, interval, page
from .revisions import copied, copied_lines, revisable
from .routes import list_route, route
from .work import Work, merged_metadata, text_or_none

PLAIN_TEXTS = ("description", "footer", "statement_descriptor")
EDITABLE_WHEN_OPEN = frozenset({"metadata", "auto_advance", "default_payment_method", "expand"})


def create(work: Work, params: Body) -> Body:
    """POST /v1/invoices."""
    original = revisable(work, params["from_invoice"]) if "from_invoice" in params else None
    customer = customers.live(work, {"customer": original["customer"]} if original else params)
    currency = currencies.known(params["currency"]) if "currency" in params else customer["currency"] or "usd"
    if params.get("default_payment_method"):
        payment_methods.attached(work, customer["id"], params["default_payment_method"], "default_payment_method")
    invoice = new_invoice(work, customer, currency, params, customer_balance.of(customer, currency))
    invoice = with_lines(invoice, [])
    if original:
        invoice |= copied(original)
        invoice = with_lines(invoice, copied_lines(work, original, invoice))
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


def list_all(work: Work, params: Body) -> Page:
    """GET /v1/invoices."""
    filters = equals(
        params, customer="customer", status="status", collection_method="tag", subscription="parent"
    ) + interval("json_extract(body, '$.due_date')", params.get("due_date"))
    return page(work, "invoice", params, "/v1/invoices", filters)


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


def retrieve(work: Work, params: Body, invoice: str) -> Body:
    """GET /v1/invoices/:id. Its pages are where the emulator is now: the port may be another than when it was made."""
    del params
    body = work.store.get("invoice", invoice)
    return body if body["hosted_invoice_url"] is None else body | hosted_addresses(work, invoice)


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


INVOICE = (
    "auto_advance automatically_finalizes_at collection_method custom_fields days_until_due "
    "default_payment_method description due_date effective_at footer metadata number statement_descriptor"
)
CREATE = f"{INVOICE} customer currency from_invoice pending_invoice_items_behavior"
ROUTES = (
    route(
        "POST",
        "/v1/invoices",
        "InvoiceCreate",
        create,
        CREATE,
    ),
    list_route(
        "/v1/invoices",
        "InvoiceList",
        list_all,
        "created customer status subscription collection_method due_date",
    ),
    route("GET", "/v1/invoices/:invoice", "InvoiceRetrieve", retrieve),
    route("POST", "/v1/invoices/:invoice", "InvoiceUpdate", update, INVOICE),
    route("DELETE", "/v1/invoices/:invoice", "InvoiceDelete", delete),
)
