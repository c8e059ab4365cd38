"""Invoices: listed, shown and explained."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.invoicing.reading import page_of_invoices
from billing_pipeline.web.api.answers import answer, without_personal
from billing_pipeline.web.api.fields import MONTH_PATTERN
from billing_pipeline.web.api.models.invoices import InvoicePage
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.permission import Books, allowed, own_customer

Status = Literal["draft", "open", "paid", "void", "uncollectible"]
MonthQuery = Annotated[str | None, Query(pattern=MONTH_PATTERN, description="Only this month.", examples=["2026-10"])]
CustomerQuery = Annotated[
    str | None, Query(min_length=1, max_length=255, description="Only this customer.", examples=["cust_focus"])
]
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
        month=None if month is None else first_day(month),
        customer_id=own_customer(caller, customer),
        status=status,
        currency=currency,
        final_only=caller.customer_id is not None,
        after=read_cursor(cursor, date.fromisoformat, str, int) if cursor else None,
        limit=limit + 1,
    )
    found = page(without_personal(caller, rows), limit, "billing_month", "customer_id", "revision")
    return answer(request, found.named("invoices"))


def first_day(month: str) -> date:
    """The first day of a month that is written as 2026-10."""
    return date.fromisoformat(f"{month}-01")
