"""Where billing stands: of one customer, and of the whole."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.books.months import month_states
from billing_pipeline.books.reading import health as health_facts
from billing_pipeline.books.receivables import due_of, open_invoices_of
from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.invoicing.reading import list_invoices
from billing_pipeline.postgres.migrations import applied_count, migrate
from billing_pipeline.pricing.reading import prices_loaded
from billing_pipeline.web.api.answers import answer, without_personal
from billing_pipeline.web.api.models.running import SetUp, Setup, Summary
from billing_pipeline.web.api.openapi import VERSION
from billing_pipeline.web.api.parameters import CustomerQuery
from billing_pipeline.web.api.permission import Books, allowed, own_customer

PAID_SHOWN = 12
router = APIRouter(tags=["standing"])


@router.get("/process-monthly", summary="Show where a customer stands", responses={200: {"model": Summary}})
def summary(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.READ_INVOICES, customers=True)],
    customer: CustomerQuery = None,
) -> Response:
    """What is due, paid and open, and what the running period comes to."""
    whose = own_customer(caller, customer)
    if whose is None:
        raise HTTPException(422, "customer: expected the id of one")
    read_customer(warehouse, whose)
    running = [asdict(one) for one in estimate(warehouse, [whose])]
    paid = list_invoices(warehouse, customer_id=whose, status="paid", limit=PAID_SHOWN)
    return answer(
        request,
        {
            "customer_id": whose,
            "due": due_of(warehouse, whose),
            "open_invoices": open_invoices_of(warehouse, whose),
            "paid_invoices": without_personal(caller, paid),
            "running": running,
            "next_invoice_on": min((one["end_date"] for one in running), default=None),
        },
    )


@router.get("/setup", summary="Show the state of the whole", responses={200: {"model": Setup}})
def health(request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_SETUP)]) -> Response:
    """Tables, usage, events, charges, brakes, months and differences."""
    facts = health_facts(warehouse)
    brakes = [str(brake) for brake in read_brakes(warehouse).on()]
    months = [asdict(month) for month in month_states(warehouse, datetime.now(UTC)) if month.state != "done"]
    waits = any(facts[name] for name in ("events_dead", "parked", "differences"))
    return answer(
        request,
        {
            "healthy": not brakes and not waits,
            "version": VERSION,
            "migrations": applied_count(warehouse),
            "brakes": brakes,
            "facts": facts,
            "months": months,
        },
    )


@router.post("/setup", summary="Bring the database up to date", responses={200: {"model": SetUp}})
def set_up(request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.CHANGE_SETUP)]) -> Response:
    """As `billing migrate`; again, there is nothing to do."""
    return answer(request, {"applied": migrate(warehouse), "books": prices_loaded(warehouse).books})
