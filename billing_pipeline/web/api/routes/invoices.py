"""Invoices: listed, shown and explained."""

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.books.invoice_story import invoice_story
from billing_pipeline.comparison.explain import explain_invoice
from billing_pipeline.comparison.explained import as_document
from billing_pipeline.invoicing.invoice_reference import InvoiceUnknown, NamedInvoice, find_invoice
from billing_pipeline.invoicing.reading import page_of_invoices
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.api.answers import answer, without_personal
from billing_pipeline.web.api.models.invoices import InvoicePage, InvoiceStory
from billing_pipeline.web.api.models.reading import Explanation
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.parameters import CustomerQuery, InvoicePath, MonthQuery, first_day_or_none
from billing_pipeline.web.api.permission import Books, allowed, own_customer

Status = Literal["draft", "open", "paid", "void", "uncollectible"]
router = APIRouter(tags=["invoices"])


@router.get("/invoices", summary="List invoices", responses={200: {"model": InvoicePage}})
def list_(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_INVOICES, customers=True)],
    month: MonthQuery = None,
    customer: CustomerQuery = None,
    status: Annotated[Status | None, Query(description="Only these.", examples=["open"])] = None,
    currency: Annotated[
        str | None, Query(pattern="^[a-z]{3}$", description="Only this currency.", examples=["usd"])
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The newest month first. A customer's token lists its own, without drafts."""
    rows = page_of_invoices(
        warehouse,
        month=first_day_or_none(month),
        customer_id=own_customer(caller, customer),
        status=status,
        currency=currency,
        final_only=caller.customer_id is not None,
        after=read_cursor(cursor, date.fromisoformat, str, int, int) if cursor else None,
        limit=limit + 1,
    )
    found = page(without_personal(caller, rows), limit, *("billing_month", "customer_id", "supplement_no", "revision"))
    return answer(request, found.named("invoices"))


@router.get("/invoices/{invoice}", summary="Show an invoice", responses={200: {"model": InvoiceStory}})
def show(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_INVOICES, customers=True)],
    invoice: InvoicePath,
) -> Response:
    """Lines, payments, refunds, credit notes and history. Its ETag is what If-Match of a change names."""
    return answer(request, story_document(warehouse, caller, invoice))


@router.get("/invoices/{invoice}/explain", summary="Explain an invoice", responses={200: {"model": Explanation}})
def explain(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_INVOICES, customers=True)],
    invoice: InvoicePath,
) -> Response:
    """Every figure down to its events, computed again."""
    named = visible_invoice(warehouse, caller, invoice)
    document = as_document(explain_invoice(warehouse, named.invoice_id))
    [shown] = without_personal(caller, [document])
    return answer(request, {"explanation": shown})


def story_document(warehouse: Warehouse, caller: Caller, reference: str) -> dict[str, Any]:
    """An invoice's story as the caller may see it: customers see neither what staff wrote nor Stripe's events."""
    named = visible_invoice(warehouse, caller, reference)
    parts = asdict(invoice_story(warehouse, named.invoice_id))
    if caller.customer_id is not None:
        parts["history"] = parts["events"] = []
        parts["credit_notes"] = [
            {name: value for name, value in note.items() if name != "author"} for note in parts["credit_notes"]
        ]
    [shown] = without_personal(caller, [parts.pop("invoice")])
    return {**shown, **parts}


def visible_invoice(warehouse: Warehouse, caller: Caller, reference: str) -> NamedInvoice:
    """The invoice that a path names; a customer's token finds its own, and no draft.

    Raises:
        InvoiceUnknown: there is none, or none that the caller may see.
    """
    named = find_invoice(warehouse, reference)
    if caller.customer_id is not None and (named.customer_id != caller.customer_id or named.status == "draft"):
        raise InvoiceUnknown(f'invoice "{reference}": expected the number or the id of an invoice, found none')
    return named
