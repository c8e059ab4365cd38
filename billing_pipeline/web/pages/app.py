"""The addresses of the pages, for the process that serves the API."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.web.pages.actions import Desk
from billing_pipeline.web.pages.changing import Changes
from billing_pipeline.web.pages.console import Console, utc_now
from billing_pipeline.web.pages.portal import Portal
from billing_pipeline.web.pages.rendering import Reader, page
from billing_pipeline.web.pages.sessions import DoorOfPages, Page, Visitor

OpenStripe = Callable[[], AbstractContextManager[StripeGateway]]


def page_routes(
    warehouse: Warehouse,
    stripe: OpenStripe,
    *,
    secure: bool = False,
    frame_ancestors: str = "'none'",
    clock: Callable[[], datetime] = utc_now,
) -> list[BaseRoute]:
    """Console, portal and their files. `secure`: the address is https; `frame_ancestors`: who may show the portal."""
    return [
        *_console(DoorOfPages(warehouse, "console", secure), stripe, clock),
        *_portal(DoorOfPages(warehouse, "portal", secure, frame_ancestors), clock),
        Mount("/pages", StaticFiles(packages=[("billing_pipeline.web.pages", "static")])),
    ]


def _console(door: DoorOfPages, stripe: OpenStripe, clock: Callable[[], datetime]) -> list[BaseRoute]:
    shown = Console(door.warehouse, clock)
    changes = Changes(door, Desk(door.warehouse, stripe)).answer
    pages: dict[str, Page] = {
        "/": shown.home,
        "/months/{month}": shown.month,
        "/invoices": shown.invoices,
        "/invoices/{invoice}": shown.invoice,
        "/invoices/{invoice}/explain": shown.explained,
        "/customers": shown.customers,
        "/customers/{customer:path}": shown.customer,
        "/charges": shown.charges,
        "/corrections": shown.corrections,
        "/events": shown.events,
        "/books": shown.books,
        "/prices": shown.prices,
        "/log": shown.log,
        "/analytics": shown.analytics,
        "/analytics/{report}": shown.analytics,
        "/health": shown.health,
        "/search": shown.search,
    }
    return [
        *_entry(door),
        Route("/console/do/{kind}/{action}/{key:path}", changes, methods=["GET", "POST"]),
        *(Route(f"/console{path}", door.shown_to(_answering(each)), methods=["GET"]) for path, each in pages.items()),
    ]


def _portal(door: DoorOfPages, clock: Callable[[], datetime]) -> list[BaseRoute]:
    shown = Portal(door, clock)
    return [
        *_entry(door),
        Route("/portal/", door.shown_to(shown.overview), methods=["GET"]),
        Route("/portal/invoices", door.shown_to(shown.invoices), methods=["GET"]),
        Route("/portal/invoices/{number}", door.shown_to(shown.invoice), methods=["GET"]),
        Route("/portal/plan", door.shown_to(shown.plan), methods=["GET"]),
    ]


def _entry(door: DoorOfPages) -> list[BaseRoute]:
    return [
        Route(f"{door.root}/enter/{{link}}", door.enter, methods=["GET"]),
        Route(f"{door.root}/leave", door.leave, methods=["POST"]),
        Route(door.root, lambda _: RedirectResponse(f"{door.root}/", 308), methods=["GET"]),
    ]


def _answering(shown: Page) -> Page:
    """The page; what a person asked for wrongly is a page that says so."""

    def answered(request: Request, visitor: Visitor) -> Response:
        try:
            return shown(request, visitor)
        except UserError as error:
            return page(
                "console/message.html",
                Reader(),
                status=404,
                visitor=visitor,
                session=visitor.session,
                title="Not found",
                message=str(error),
            )

    return answered
