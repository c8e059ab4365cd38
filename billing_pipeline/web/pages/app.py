"""The addresses of the pages, for the process that serves the API."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from billing_pipeline.access.links import Door
from billing_pipeline.access.provider_sign_in import ProviderSignIn
from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings.pages import PagesSettings
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.web.actions.desk import Desk
from billing_pipeline.web.pages.asking import Asking, MailLinks
from billing_pipeline.web.pages.changing import Changes
from billing_pipeline.web.pages.console import Console
from billing_pipeline.web.pages.console_analytics import Analytics
from billing_pipeline.web.pages.console_customers import Customers
from billing_pipeline.web.pages.console_months import Months
from billing_pipeline.web.pages.console_prices import BOOK_FORM_MAX_BYTES, Prices
from billing_pipeline.web.pages.entering import Entering
from billing_pipeline.web.pages.portal import Portal
from billing_pipeline.web.pages.portal_account import Account
from billing_pipeline.web.pages.portal_alerts import Alerts
from billing_pipeline.web.pages.portal_paying import Paying
from billing_pipeline.web.pages.provider_entering import PATH, ProviderEntering
from billing_pipeline.web.pages.rendering import Reader, page
from billing_pipeline.web.pages.sessions import Change, DoorOfPages, Page, Visitor
from billing_pipeline.web.pages.unsubscribing import Unsubscribing


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


OpenStripe = Callable[[], AbstractContextManager[StripeGateway]]


def page_routes(
    warehouse: Warehouse,
    stripe: OpenStripe,
    settings: PagesSettings,
    clock: Callable[[], datetime] = utc_now,
    mail: MailLinks | None = None,
    sign_in: ProviderSignIn | None = None,
    dunning_policy: Path | None = None,
) -> list[BaseRoute]:
    """Console, portal and their files.

    `mail` None: nobody can ask for a link. `sign_in` None: nobody signs in at an identity provider. `dunning_policy`:
    its file; None: the packaged one.
    """
    desk = Desk(warehouse, stripe)
    by_provider = ((PATH, "sign_in_provider"),) if sign_in is not None else ()
    console = DoorOfPages(warehouse, "console", settings.is_secure, ways=(*by_provider, *_ways("console", mail)))
    door = DoorOfPages(warehouse, "portal", settings.is_secure, settings.frame_ancestors, _ways("portal", mail))
    portal = (door, desk, clock, settings.public_url, settings.portal_edits_details)
    return [
        *(route for each in (console, door) if mail is not None for route in _asking(each, Asking(each, mail))),
        *(_by_provider(ProviderEntering(console, sign_in)) if sign_in is not None else ()),
        *_console(console, desk, clock, settings.dagster_url, dunning_policy),
        *_portal(door, Portal(*portal), Paying(*portal), Account(*portal), Alerts(*portal)),
        *_unsubscribing(Unsubscribing(warehouse)),
        Mount("/pages", StaticFiles(packages=[("billing_pipeline.web.pages", "static")])),
    ]


def _console(
    door: DoorOfPages, desk: Desk, clock: Callable[[], datetime], dagster_url: str, dunning_policy: Path | None
) -> list[BaseRoute]:
    shown = Console(door.warehouse, clock, dagster_url)
    months = Months(door.warehouse, clock, dagster_url)
    customers = Customers(door.warehouse, clock, dagster_url, dunning_policy)
    prices = Prices(door.warehouse, clock, dagster_url)
    analytics = Analytics(door.warehouse, clock, dagster_url)
    changes = Changes(door, desk).answer
    pages: dict[str, Page] = {
        "/": months.home,
        "/months/{month}": months.month,
        "/months/{month}/runs": months.runs,
        "/months/{month}/comparison": months.comparison,
        "/invoices": shown.invoices,
        "/invoices/{invoice}": shown.invoice,
        "/invoices/{invoice}/explain": shown.explained,
        "/customers": customers.customers,
        "/customers/{customer:path}": customers.customer,
        "/running/{customer:path}": customers.running,
        "/timelines/{customer:path}": customers.timeline,
        "/charges": shown.charges,
        "/corrections": shown.corrections,
        "/events": shown.events,
        "/books": shown.books,
        "/prices": prices.prices,
        "/prices/shadow": prices.ask,
        "/log": shown.log,
        "/log.csv": shown.whole_log,
        "/analytics": analytics.shown,
        "/analytics/{report}.csv": analytics.downloaded,
        "/analytics/{report}": analytics.shown,
        "/analytics/{report}/rows": analytics.rows,
        "/health": shown.health,
        "/search": shown.search,
    }
    return [
        *_entry(door),
        Route("/console/do/{kind}/{action}/{key:path}", changes, methods=["GET", "POST"]),
        Route("/console/prices/shadow", door.changed_by(prices.shadow, BOOK_FORM_MAX_BYTES), methods=["POST"]),
        Route("/console/analytics/{report}/work-out", door.changed_by(analytics.work_out), methods=["POST"]),
        *(Route(f"/console{path}", door.shown_to(_answering(each)), methods=["GET"]) for path, each in pages.items()),
    ]


def _portal(door: DoorOfPages, shown: Portal, paying: Paying, account: Account, alerts: Alerts) -> list[BaseRoute]:
    pages: dict[str, Page] = {
        "/": shown.overview,
        "/invoices": shown.invoices,
        "/invoices/{number}": shown.invoice,
        "/invoices/{number}/pay": paying.pay,
        "/invoices/{number}/pdf": paying.pdf,
        "/payment-methods": paying.methods,
        "/credits": shown.credits,
        "/plan": shown.plan,
        "/account": account.details,
        "/alerts": alerts.alerts,
    }
    changes: dict[str, Change] = {
        "/invoices/{number}/retry": paying.retry,
        "/payment-methods": paying.change_method,
        "/account": account.change,
        "/account/language": account.language,
        "/alerts/budgets": alerts.set_budget,
        "/alerts/budgets/end": alerts.end_budget,
        "/alerts/mails": alerts.mails,
    }
    return [
        *_entry(door),
        *(Route(f"/portal{path}", door.shown_to(each), methods=["GET"]) for path, each in pages.items()),
        *(Route(f"/portal{path}", door.changed_by(each), methods=["POST"]) for path, each in changes.items()),
    ]


def _unsubscribing(shown: Unsubscribing) -> list[BaseRoute]:
    return [
        Route("/unsubscribe/{key}", shown.show, methods=["GET"]),
        Route("/unsubscribe/{key}", shown.end, methods=["POST"]),
    ]


def _ways(door: Door, mail: MailLinks | None) -> tuple[tuple[str, str], ...]:
    return ((f"/{door}/sign-in", "ask_for_link"),) if mail is not None else ()


def _asking(door: DoorOfPages, asking: Asking) -> list[BaseRoute]:
    path = f"{door.root}/sign-in"
    return [Route(path, asking.form, methods=["GET"]), Route(path, asking.ask, methods=["POST"])]


def _by_provider(entering: ProviderEntering) -> list[BaseRoute]:
    return [
        Route(PATH, entering.begin, methods=["GET"]),
        Route(f"{PATH}/callback", entering.end, methods=["GET"]),
    ]


def _entry(door: DoorOfPages) -> list[BaseRoute]:
    entering = Entering(door)
    return [
        Route(f"{door.root}/enter/{{link}}", entering.look, methods=["GET"]),
        Route(f"{door.root}/enter/{{link}}", entering.enter, methods=["POST"]),
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
