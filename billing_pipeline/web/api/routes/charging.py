"""Charges."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.charging.reading import list_charges
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.reading import ChargePage
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.parameters import CustomerQuery, MonthQuery, first_day_or_none
from billing_pipeline.web.api.permission import Books, allowed

router = APIRouter(tags=["charges"])


@router.get("/charges", summary="List charges", responses={200: {"model": ChargePage}})
def list_(
    request: Request,
    warehouse: Books,
    _: Annotated[Caller, allowed(Scope.READ_STRIPE)],
    state: Annotated[str | None, Query(max_length=40, description="Only these.", examples=["refused"])] = None,
    month: MonthQuery = None,
    customer: CustomerQuery = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The newest month first, in it by number."""
    after = read_cursor(cursor, date.fromisoformat, str) if cursor else None
    rows = list_charges(
        warehouse,
        () if state is None else (state,),
        first_day_or_none(month),
        None,
        limit + 1,
        customer_id=customer,
        after=(after[0], after[1]) if after else None,
    )
    return answer(request, page(rows, limit, "billing_month", "number").named("charges"))
