"""Changes whose body says which action of the table it is."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.corrections.approvals import month_drafts
from billing_pipeline.web.api.answers import answer, require_unchanged
from billing_pipeline.web.api.models.changing import Done, Reasoned
from billing_pipeline.web.api.models.correcting import AdjustmentAsked, InvoiceAsked, InvoiceChange
from billing_pipeline.web.api.models.customer_changes import ContractChange
from billing_pipeline.web.api.models.reading import MonthDrafts
from billing_pipeline.web.api.parameters import CustomerPath, InvoicePath, MonthPath, first_day
from billing_pipeline.web.api.permission import Books, allowed
from billing_pipeline.web.api.routes.acting import AtDesk, do
from billing_pipeline.web.api.routes.customers import customer_document
from billing_pipeline.web.api.routes.invoices import story_document

router = APIRouter()
OF_INVOICES = {"void": "void-only", "void_and_rebill": "void", "mark_uncollectible": "write-off"}
OF_METHODS = {"at_once": "bill", "next_invoice": "adjust"}
"""How the table calls what is called otherwise here."""


@router.patch("/invoices/{invoice}", tags=["invoices"], summary="Change an invoice", responses={200: {"model": Done}})
def change_invoice(
    request: Request,
    desk: AtDesk,
    caller: Annotated[Caller, allowed(Scope.CHANGE_INVOICES)],
    invoice: InvoicePath,
    body: InvoiceChange,
) -> Response:
    """Void it, hold it, release it or give it up. What may not be is a 409 that says the right way."""
    require_unchanged(request, lambda: story_document(desk.warehouse, caller, invoice))
    name = OF_INVOICES.get(body.action, body.action)
    return answer(request, do(desk, caller, "invoices", invoice, name, Reasoned(reason=body.reason)))


@router.post("/invoices", tags=["invoices"], summary="Bill an amount", responses={200: {"model": Done}})
def bill_amount(
    request: Request, desk: AtDesk, caller: Annotated[Caller, allowed(Scope.CHANGE_INVOICES)], body: InvoiceAsked
) -> Response:
    """Draft an invoice over an amount beside usage, or put it on the customer's next one.

    Charging the month that the answer names makes the draft final and charges it once, like any other.
    """
    amount = AdjustmentAsked(**body.model_dump(exclude={"customer", "method"}))
    return answer(request, do(desk, caller, "customers", body.customer, OF_METHODS[body.method], amount))


@router.post(
    "/customers/{customer}/contract", tags=["customers"], summary="Change a contract", responses={200: {"model": Done}}
)
def change_contract(
    request: Request,
    desk: AtDesk,
    caller: Annotated[Caller, allowed(Scope.CHANGE_CUSTOMERS)],
    customer: CustomerPath,
    body: ContractChange,
) -> Response:
    """Start, end, pause or resume it, change its plan, or take such a change back, from a day on."""
    require_unchanged(request, lambda: customer_document(desk.warehouse, caller, customer))
    return answer(request, do(desk, caller, "customers", customer, body.action, body))


@router.get(
    "/months/{month}/drafts", tags=["months"], summary="Show a month's drafts", responses={200: {"model": MonthDrafts}}
)
def drafts(
    request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_MONTHS)], month: MonthPath
) -> Response:
    """What there is to approve, and `rows`, which says which versions of the rows it is."""
    found = month_drafts(warehouse, first_day(month))
    totals = [{"currency": currency, "total_minor": minor} for currency, minor in sorted(found.totals_minor.items())]
    shown = {"month": month, "rows": found.rows, "drafts": found.drafts, "totals": totals}
    return answer(request, {**shown, "unmet_gates": found.unmet_gates})
