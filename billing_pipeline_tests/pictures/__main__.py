"""Takes a picture of each page as a person sees it, over the database that `billing demo` left.

Without a choice those that the documents show; `--looks` takes all pages in full, on a phone, dark and in Arabic too.
"""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ViewportSize, sync_playwright

from billing_pipeline.access.links import console_link, portal_link
from billing_pipeline.cli.common import open_database
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings.pages import PagesSettings
from billing_pipeline.stripe_gateway.opening import open_stripe
from billing_pipeline.web.pages.app import page_routes
from billing_pipeline_tests.web.behind_the_gate import behind_the_gate

WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
CONSOLE = (
    "month", "invoices", "invoice", "explained", "customers", "customer", "charges", "corrections", "events", "books",
    "prices", "analytics", "forecast", "trends", "log", "health", "search", "change",
)  # fmt: skip
KEPT = ("console-month", "console-customer", "portal-overview", "portal-invoice")
"""Pictures that docs/ shows: of a screen's height, so that they stay small."""
PORTAL = ("overview", "invoices", "invoice", "payment-methods", "credits", "plan", "alerts", "account")


@click.command()
@click.option("--to", type=click.Path(path_type=Path), default=Path("docs/pictures"), show_default=True)
@click.option("--looks", is_flag=True, help="All pages in full; also on a phone, dark, and in Arabic.")
@click.option("--only", multiple=True, help="Only these, such as console-month.")
@click.option("--customer", help="Whose portal; default: one with a refused invoice.")
def main(to: Path, looks: bool, only: tuple[str, ...], customer: str | None) -> None:
    """Take the pictures."""
    warehouse = open_database()
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise click.ClickException("no Chromium on this machine")
    only = only or (() if looks else KEPT)
    to.mkdir(parents=True, exist_ok=True)
    addresses = _addresses(warehouse, customer)
    with _served(warehouse) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for suffix, scheme, size, language in _looks(looks):
            for door in ("console", "portal"):
                with _signed_in(browser, warehouse, base, door, addresses["customer"], scheme, size) as context:
                    for name, path in addresses.items():
                        if name.startswith(door) and (not only or name in only):
                            page = context.new_page()
                            page.goto(
                                base + path + (f"{'&' if '?' in path else '?'}lang={language}" if language else "")
                            )
                            page.wait_for_load_state("networkidle")
                            page.screenshot(path=to / f"{name}{suffix}.png", full_page=looks)
                            page.close()
        browser.close()


def _looks(more: bool) -> list[tuple[str, str, ViewportSize, str | None]]:
    looks: list[tuple[str, str, ViewportSize, str | None]] = [("", "light", WIDE, None)]
    if more:
        looks += [("-phone", "light", PHONE, None), ("-dark", "dark", WIDE, None), ("-ar", "light", WIDE, "ar")]
    return looks


def _addresses(warehouse: Warehouse, customer: str | None) -> dict[str, str]:
    """Every page by the name of its picture, and the customer that they show."""
    found = warehouse.rows(
        "SELECT c.customer_id, i.number, i.billing_month FROM billing.stripe_charges AS c"
        " JOIN billing.invoices AS i USING (invoice_id)"
        " WHERE CAST(:customer AS text) IS NULL OR c.customer_id = :customer"
        " ORDER BY c.state = 'refused' DESC, i.line_count DESC, c.customer_id LIMIT 1",
        customer=customer,
    )
    if not found:
        raise click.ClickException("there is no charged invoice to show: run `billing demo` first")
    [row] = found
    number, who = row["number"], row["customer_id"]
    paths = {name: f"/console/{name}" for name in CONSOLE} | {
        "month": f"/console/months/{row['billing_month']:%Y-%m}",
        "forecast": "/console/analytics/revenue_forecast",
        "trends": "/console/analytics/usage_trends",
        "invoice": f"/console/invoices/{number}",
        "explained": f"/console/invoices/{number}/explain",
        "customer": f"/console/customers/{who}",
        "search": f"/console/search?q={who}",
        "change": f"/console/do/invoices/retry/{number}",
    }
    own = {name: f"/portal/{name}" for name in PORTAL} | {
        "overview": "/portal/",
        "invoice": f"/portal/invoices/{number}",
    }
    return {f"console-{name}": paths[name] for name in CONSOLE} | {
        **{f"portal-{name}": own[name] for name in PORTAL},
        "customer": who,
    }


@contextmanager
def _signed_in(
    browser: Browser, warehouse: Warehouse, base: str, door: str, customer: str, scheme: str, size: ViewportSize
) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-GB", viewport=size, color_scheme="dark" if scheme == "dark" else "light")
    signature = Signature("pictures", "to take pictures of the pages")
    link = (
        console_link(warehouse, signature, "Ann", "operator")
        if door == "console"
        else portal_link(warehouse, signature, customer)
    )
    page = context.new_page()
    page.goto(f"{base}/{door}/enter/{link}")
    page.get_by_role("button").click()
    yield context
    context.close()


@contextmanager
def _served(warehouse: Warehouse) -> Iterator[str]:
    """The pages on a port of their own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        routes = page_routes(warehouse, open_stripe, PagesSettings(base, "'none'", portal_edits_details=True))
        server = uvicorn.Server(uvicorn.Config(behind_the_gate(routes, warehouse), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield base
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    main()
