"""Budgets of a customer, by itself or for it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.budgets import list_budgets
from billing_pipeline.web.actions import action_of
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.changing import Done
from billing_pipeline.web.api.models.customer_changes import BudgetAsked
from billing_pipeline.web.api.models.reading import Budgets
from billing_pipeline.web.api.parameters import CustomerPath
from billing_pipeline.web.api.permission import Books, allowed, own_customer, signed
from billing_pipeline.web.api.routes.acting import AtDesk, do

ROWS = 1000
router = APIRouter(tags=["budgets"])
PATH = "/customers/{customer}/budgets"
MAY_CHANGE = Annotated[Caller, allowed(Scope.CHANGE_BUDGETS, customers=True)]


@router.get(PATH, summary="List a customer's budgets", responses={200: {"model": Budgets}})
def list_(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_CUSTOMERS, customers=True)],
    customer: CustomerPath,
) -> Response:
    """Those that hold now."""
    own_customer(caller, customer)
    read_customer(warehouse, customer)
    return answer(request, {"budgets": list_budgets(warehouse, customer_id=customer, limit=ROWS)})


@router.post(PATH, summary="Set a budget", responses={200: {"model": Done}})
def set_(request: Request, desk: AtDesk, caller: MAY_CHANGE, customer: CustomerPath, body: BudgetAsked) -> Response:
    """Watch the amount or a meter, in place of the budget that did so before. Nothing is stopped by one."""
    own_customer(caller, customer)
    return answer(request, do(desk, caller, "customers", customer, "set-budget", body))


@router.delete(PATH, summary="End a budget", responses={200: {"model": Done}})
def end(
    request: Request,
    desk: AtDesk,
    caller: MAY_CHANGE,
    customer: CustomerPath,
    meter: Annotated[
        str | None,
        Query(min_length=1, max_length=255, description="Left out: the budget of the amount.", examples=["calls"]),
    ] = None,
    reason: Annotated[
        str, Query(min_length=1, max_length=2000, description="Why.", examples=["not needed"])
    ] = "asked for over the API",
) -> Response:
    """Watch it no more."""
    own_customer(caller, customer)
    fields = {"meter": meter} if meter else {}
    done = action_of("customers", "end-budget").do(desk, customer, signed(caller, reason), fields)
    return answer(request, {"done": done.said, "result": dict(done.facts)})
