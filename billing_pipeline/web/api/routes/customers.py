"""Customers and their contracts."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.customers.contracts import contracts_of
from billing_pipeline.customers.one_customer import change_customer, create_customer
from billing_pipeline.customers.reading import list_customers, read_customer
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.api.answers import answer, require_unchanged, without_personal
from billing_pipeline.web.api.models.customer_changes import CustomerAsked, CustomerChange
from billing_pipeline.web.api.models.reading import CustomerPage, CustomerWithContracts
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.parameters import CustomerPath
from billing_pipeline.web.api.permission import Books, allowed, own_customer, signed

Status = Literal["active", "on_hold", "inactive"]
router = APIRouter(tags=["customers"])


@router.get("/customers", summary="List customers", responses={200: {"model": CustomerPage}})
def list_(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_CUSTOMERS)],
    status: Annotated[Status | None, Query(description="Only these.", examples=["active"])] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """By their id."""
    (after,) = read_cursor(cursor, str)
    rows = list_customers(warehouse, status=status, after=after, limit=limit + 1)
    return answer(request, page(without_personal(caller, rows), limit, "customer_id").named("customers"))


@router.get("/customers/{customer}", summary="Show a customer", responses={200: {"model": CustomerWithContracts}})
def show(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_CUSTOMERS, customers=True)],
    customer: CustomerPath,
) -> Response:
    """A customer and its contracts."""
    own_customer(caller, customer)
    return answer(request, customer_document(warehouse, caller, customer))


@router.post("/customers", summary="Add a customer", responses={200: {"model": CustomerWithContracts}})
def create(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.CHANGE_CUSTOMERS)], body: CustomerAsked
) -> Response:
    """By the rules of the customers file."""
    given = body.model_dump(exclude_none=True, exclude={"reason"})
    create_customer(warehouse, given, signed(caller, body.reason))
    return answer(request, customer_document(warehouse, caller, body.customer_id))


@router.patch("/customers/{customer}", summary="Change a customer", responses={200: {"model": CustomerWithContracts}})
def change(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.CHANGE_CUSTOMERS)],
    customer: CustomerPath,
    body: CustomerChange,
) -> Response:
    """What is left out stays as it is. If-Match with the ETag of the customer keeps changes of two apart."""
    require_unchanged(request, lambda: customer_document(warehouse, caller, customer))
    given = body.model_dump(exclude_none=True, exclude={"reason"})
    change_customer(warehouse, customer, given, signed(caller, body.reason))
    return answer(request, customer_document(warehouse, caller, customer))


def customer_document(warehouse: Warehouse, caller: Caller, customer_id: str) -> dict[str, Any]:
    """A customer as the caller may see it."""
    [shown] = without_personal(caller, [read_customer(warehouse, customer_id)])
    return {**shown, "contracts": contracts_of(warehouse, customer_id)}
