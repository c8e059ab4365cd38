"""Prices: what is loaded."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.pricing.reading import prices_loaded
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.reading import Prices
from billing_pipeline.web.api.parameters import CustomerQuery
from billing_pipeline.web.api.permission import Books, allowed

router = APIRouter(tags=["prices"])


@router.get("/prices", summary="Show the prices in use", responses={200: {"model": Prices}})
def show(
    request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_PRICES)], customer: CustomerQuery = None
) -> Response:
    """Books, meters and prices; with a customer: its own prices alone."""
    return answer(request, asdict(prices_loaded(warehouse, customer_id=customer)))
