"""Paying and subscribing, as a customer or for one: by the operations that the portal has too."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from billing_pipeline.access.links import portal_link
from billing_pipeline.access.rules.permissions import RIGHTS, Role, Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.charging.brakes import limits_of
from billing_pipeline.charging.customer_payments import customer_of, pay_again
from billing_pipeline.charging.hosted_pages import invoice_page, payment_methods_page
from billing_pipeline.charging.reading import state_of
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.contracts import contracts_of
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.pricing.subscribing import subscribe, unsubscribe
from billing_pipeline.settings import load_settings
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.changing import Reasoned
from billing_pipeline.web.api.models.running import (
    Payment,
    PaymentAsked,
    PortalLink,
    PortalLinkAsked,
    Subscription,
    SubscriptionAsked,
)
from billing_pipeline.web.api.parameters import CustomerPath, CustomerQuery
from billing_pipeline.web.api.permission import Books, allowed, own_customer, signed
from billing_pipeline.web.api.routes.acting import AtDesk, do
from billing_pipeline.web.api.routes.invoices import visible_invoice

router = APIRouter(tags=["paying"])
MAY_PAY = Annotated[Caller, allowed(Scope.PAY, customers=True)]
MAY_SUBSCRIBE = Annotated[Caller, allowed(Scope.SUBSCRIBE, customers=True)]


@router.post("/process-payment", summary="Pay an invoice", responses={200: {"model": Payment}})
def pay(request: Request, desk: AtDesk, caller: MAY_PAY, body: PaymentAsked) -> Response:
    """Try its payment again now, or say where at Stripe it can be paid. A customer may try three times a day."""
    invoice = visible_invoice(desk.warehouse, caller, body.invoice)
    reference = invoice.invoice_id
    url = None
    if body.how == "page":
        with desk.stripe() as api:
            url = invoice_page(desk.warehouse, api, reference).url
    elif caller.customer_id is not None:
        with desk.stripe() as api:
            limits = limits_of(load_settings().charging)
            pay_again(desk.warehouse, api, caller.customer_id, reference, limits=limits, log=lambda _: None)
    else:
        do(desk, caller, "invoices", reference, "retry", Reasoned(reason="asked for over the API"))
    state = state_of(desk.warehouse, reference) or invoice.status
    return answer(request, {"number": invoice.label, "state": state, "url": url})


@router.post("/customers/{customer}/portal-link", summary="Open the portal", responses={200: {"model": PortalLink}})
def open_portal(
    request: Request,
    warehouse: Books,
    caller: MAY_PAY,
    customer: CustomerPath,
    body: PortalLinkAsked,
) -> Response:
    """A link into a customer's portal, for a frame or a redirect: it works once. It is shown in this answer alone.

    The token needs all that a customer's has, since the portal shows and changes that.
    """
    own_customer(caller, customer)
    if lacking := RIGHTS[Role.CUSTOMER].default - caller.scopes:
        raise HTTPException(403, f"this token may not do that: it needs the scopes {', '.join(sorted(lacking))} too")
    lasts = timedelta(minutes=body.minutes)
    secret = portal_link(warehouse, _signature(caller, body.reason), customer, lasts)
    request.state.holds_secret = True
    url = f"{request.app.state.settings.pages.public_url}/portal/enter/{secret}"
    return answer(request, {"customer_id": customer, "url": url, "minutes": body.minutes})


@router.post("/setup-subscription", summary="Begin a contract", responses={200: {"model": Subscription}})
def begin(request: Request, desk: AtDesk, caller: MAY_SUBSCRIBE, body: SubscriptionAsked) -> Response:
    """Begin a contract on a plan, or change the plan; give the page of Stripe's where the payment method is set.

    A customer begins from today on.
    """
    customer = _customer(desk.warehouse, caller, body.customer)
    signature = _signature(caller, body.reason)
    url = None
    if body.plan is not None:
        subscribe(desk.warehouse, customer, body.plan, body.on, signature, backdated=caller.customer_id is None)
    if body.return_url is not None:
        with desk.stripe() as api:
            url = payment_methods_page(desk.warehouse, api, customer, signature, return_url=body.return_url)
    return answer(request, {"contracts": contracts_of(desk.warehouse, customer), "payment_methods_url": url})


@router.delete("/setup-subscription", summary="End a contract", responses={200: {"model": Subscription}})
def end(
    request: Request,
    warehouse: Books,
    caller: MAY_SUBSCRIBE,
    customer: CustomerQuery = None,
    on: Annotated[date | None, Query(description="Last billed day; default: today.", examples=["2026-12-31"])] = None,
    reason: Annotated[
        str, Query(min_length=1, max_length=2000, description="Why.", examples=["leaves"])
    ] = "asked for over the API",
) -> Response:
    """A customer ends its own, today or later."""
    whose = _customer(warehouse, caller, customer)
    signature = _signature(caller, reason)
    unsubscribe(warehouse, whose, on, signature, backdated=caller.customer_id is None)
    return answer(request, {"contracts": contracts_of(warehouse, whose), "payment_methods_url": None})


def _customer(warehouse: Books, caller: Caller, wanted: str | None) -> str:
    customer = own_customer(caller, wanted)
    if customer is None:
        raise HTTPException(422, "customer: expected the id of one")
    read_customer(warehouse, customer)
    return customer


def _signature(caller: Caller, reason: str) -> Signature:
    return signed(caller, reason) if caller.customer_id is None else customer_of(caller.customer_id)
