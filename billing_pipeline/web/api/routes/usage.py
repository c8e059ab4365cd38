"""Usage: the quantities that months measured."""

from dataclasses import asdict
from datetime import date
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.usage.reading import quantities
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.reading import QuantityPage
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.parameters import CustomerQuery, TheMonth, first_day
from billing_pipeline.web.api.permission import Books, allowed, own_customer

router = APIRouter(tags=["usage"])


@router.get("/usage", summary="List quantities", responses={200: {"model": QuantityPage}})
def list_(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_USAGE, customers=True)],
    month: TheMonth,
    customer: CustomerQuery = None,
    meter: Annotated[str | None, Query(max_length=255, description="Only this meter.", examples=["api_calls"])] = None,
    include_estimate: Annotated[
        bool, Query(description="Also what the customer's open periods of the month come to, by day.", examples=[True])
    ] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """What each period that the month bills has measured: of the last snapshot, by meter and dimensions.

    `estimates` are fresh, through the rules that bill: accrued by now, projected to the end, used on each day.
    """
    whose = own_customer(caller, customer)
    if include_estimate and whose is None:
        raise HTTPException(422, "customer: expected the id of one, of whom to estimate")
    after = read_cursor(cursor, str, str, date.fromisoformat, str) if cursor else None
    found = page(
        quantities(
            warehouse,
            first_day(month),
            customer_id=whose,
            meter=meter,
            after=after,
            limit=limit + 1,
        ),
        limit,
        *("customer_id", "meter", "period_from", "sorted_dimensions"),
    )
    shown = [{name: value for name, value in row.items() if name != "sorted_dimensions"} for row in found.rows]
    estimates = None
    if include_estimate and whose is not None:
        estimates = [asdict(one) for one in estimate(warehouse, [whose], month=first_day(month), by_day=True)]
    return answer(request, {"usage": shown, "estimates": estimates, "next_cursor": found.next_cursor})
