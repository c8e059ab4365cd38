"""Months: where each stands."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.books.months import month_states
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.reading import Months
from billing_pipeline.web.api.permission import Books, allowed

router = APIRouter(tags=["months"])


@router.get("/months", summary="List months", responses={200: {"model": Months}})
def list_(request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_MONTHS)]) -> Response:
    """The months that have ended: billed, charged, or what is missing."""
    return answer(request, {"months": [asdict(month) for month in month_states(warehouse, datetime.now(UTC))]})
