"""Corrections: credit notes, settlements, credits, adjustments, refunds, disputes, holds."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.corrections.failed_refunds import failed_refunds
from billing_pipeline.corrections.holds import active_holds
from billing_pipeline.corrections.lost_disputes import list_disputes
from billing_pipeline.corrections.reading import (
    list_credit_notes,
    list_settlements,
    read_settlement,
    waiting_adjustments,
)
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.invoicing.credits import credit_balances, credit_entries, list_grants
from billing_pipeline.web.actions.settling import settlement_number
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.corrections import CustomerCredits, Disputes, Holds, Refunds, Settlement
from billing_pipeline.web.api.parameters import CustomerPath, SettlementPath
from billing_pipeline.web.api.permission import Books, allowed, own_customer
from billing_pipeline.web.api.routes.listing import Every, lists

router = APIRouter(tags=["corrections"])
Reader = Annotated[Caller, allowed(Scope.READ_INVOICES)]

lists(
    router,
    "/credit-notes",
    lambda books, customer, _, after, limit: list_credit_notes(books, customer_id=customer, after=after, limit=limit),
    Scope.READ_INVOICES,
    "number",
    str,
    "billing credit list",
)
lists(
    router,
    "/settlements",
    lambda books, customer, every, after, limit: list_settlements(
        books, customer_id=customer, ended=every, after=after or 0, limit=limit
    ),
    Scope.READ_INVOICES,
    "settlement_id",
    int,
    "billing settle list",
)
lists(
    router,
    "/credits",
    lambda books, customer, every, after, limit: list_grants(
        books, customer_id=customer, every=every, after=after, limit=limit
    ),
    Scope.READ_INVOICES,
    "grant_id",
    str,
    "billing credits list",
)
lists(
    router,
    "/adjustments",
    lambda books, customer, _, after, limit: waiting_adjustments(books, customer, after=after, limit=limit),
    Scope.READ_INVOICES,
    "adjustment_id",
    str,
    "billing adjustments list",
)


@router.get("/settlements/{settlement}", summary="Show a settlement", responses={200: {"model": Settlement}})
def settlement_(request: Request, warehouse: Books, _: Reader, settlement: SettlementPath) -> Response:
    """The lines behind it, as they were when it was proposed."""
    return answer(request, {"settlement": read_settlement(warehouse, settlement_number(settlement))})


@router.get(
    "/customers/{customer}/credits", summary="Show a customer's credits", responses={200: {"model": CustomerCredits}}
)
def credits_(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_INVOICES, customers=True)],
    customer: CustomerPath,
) -> Response:
    """What is left, and each entry of the ledger with the balance after it."""
    own_customer(caller, customer)
    read_customer(warehouse, customer)
    balances, entries = credit_balances(warehouse, customer), credit_entries(warehouse, customer)
    return answer(request, {"balances": balances, "entries": entries})


@router.get("/refunds", summary="List refunds that failed", responses={200: {"model": Refunds}})
def refunds(request: Request, warehouse: Books, _: Reader, every: Every = False) -> Response:
    """Those that wait for a person first."""
    return answer(request, {"refunds": [asdict(one) for one in failed_refunds(warehouse, settled=every)]})


@router.get("/disputes", summary="List disputes", responses={200: {"model": Disputes}})
def disputes(request: Request, warehouse: Books, _: Reader, every: Every = False) -> Response:
    """Those that wait for a person first."""
    return answer(request, {"disputes": list_disputes(warehouse, all_=every)})


@router.get("/holds", summary="List holds", responses={200: {"model": Holds}})
def holds(request: Request, warehouse: Books, _: Reader) -> Response:
    """What is kept back, the oldest first."""
    return answer(request, {"holds": [asdict(one) for one in active_holds(warehouse)]})
