"""The pages in a real browser: what a person sees and does, on wide and narrow screens, with a keyboard alone."""

import re
import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from billing_pipeline.access.links import console_link, portal_link
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.web.pages.conftest import MAKER, Site, serving

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
PHONE: ViewportSize = {"width": 390, "height": 844}
CONSOLE = (
    "/console/months/2026-10", "/console/invoices", "/console/customers", "/console/customers/bob", "/console/charges",
    "/console/corrections", "/console/events", "/console/books", "/console/prices", "/console/prices/shadow", "/console/log",
    "/console/analytics", "/console/analytics/revenue_forecast", "/console/analytics/revenue_retention", "/console/health", "/console/search?q=bob", "/console/do/customers/hold/bob",
)  # fmt: skip
PORTAL = (
    "/portal/", "/portal/invoices", "/portal/payment-methods", "/portal/credits", "/portal/plan", "/portal/account", "/portal/alerts",
    "/portal/?lang=ar", "/portal/account", "/portal/invoices?lang=de",
)  # fmt: skip

pytestmark = pytest.mark.skipif(FOUND is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=FOUND, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    opened = chromium.new_context(locale="en-GB")
    yield opened
    opened.close()


def enter(page: Page, link: str) -> None:
    """Open a link and press its button."""
    page.goto(link)
    assert barriers(page) == []
    page.get_by_role("button").click()
    page.wait_for_url(lambda url: "/enter/" not in url)


@pytest.fixture
def operator(context: BrowserContext, site: Site) -> Page:
    """A browser in the console."""
    page = context.new_page()
    enter(page, f"{site.address}/console/enter/{console_link(site.warehouse, MAKER, 'otto', 'operator')}")
    return page


@pytest.fixture
def customer(context: BrowserContext, site: Site) -> Page:
    """A browser in bob's portal."""
    page = context.new_page()
    enter(page, f"{site.address}/portal/enter/{portal_link(site.warehouse, MAKER, 'bob')}")
    return page


def watched(page: Page, address: str) -> list[str]:
    """What the browser complains of, and requests to other hosts."""
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith((address, "data:")) else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return wrong


def barriers(page: Page) -> list[str]:
    """What axe finds, as rule and place."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


def test_no_page_of_the_console_has_a_barrier_or_asks_another_host(
    operator: Page, site: Site, month: CorrectingWorld
) -> None:
    wrong = watched(operator, site.address)
    operator.set_viewport_size(PHONE)  # where tables scroll, which a keyboard has to be able to do, too
    for path in (*CONSOLE, f"/console/invoices/{month.number_of('bob')}"):
        operator.goto(site.address + path)
        operator.wait_for_load_state("networkidle")
        assert (path, barriers(operator)) == (path, [])
    assert wrong == []


def test_no_page_of_the_portal_has_a_barrier_or_asks_another_host(
    customer: Page, site: Site, month: CorrectingWorld
) -> None:
    wrong = watched(customer, site.address)
    for path in (*PORTAL, f"/portal/invoices/{month.number_of('bob')}"):
        customer.goto(site.address + path)
        assert (path, barriers(customer)) == (path, [])
    assert wrong == []


def test_no_page_is_wider_than_a_phone(operator: Page, customer: Page, site: Site, month: CorrectingWorld) -> None:
    for page, paths in ((operator, CONSOLE), (customer, (*PORTAL, f"/portal/invoices/{month.number_of('bob')}"))):
        page.set_viewport_size(PHONE)
        for path in paths:
            page.goto(site.address + path)
            assert (path, page.evaluate("document.documentElement.scrollWidth")) == (path, PHONE["width"])


def test_a_customer_sets_a_payment_method_at_stripe_and_comes_back(
    customer: Page, site: Site, month: CorrectingWorld
) -> None:
    customer.goto(f"{site.address}/portal/payment-methods")
    customer.get_by_role("button", name="Add or change the payment method").click()
    customer.wait_for_url(f"{month.stripe.base_url}/hosted/portal/**")
    customer.get_by_role("button", name="Save").click()
    customer.wait_for_url(f"{site.address}/portal/payment-methods?said=method_saved")
    assert customer.get_by_role("status").count() == 1


def test_a_customer_pays_on_stripe_s_page(customer: Page, site: Site, month: CorrectingWorld) -> None:
    customer.goto(f"{site.address}/portal/")
    customer.get_by_role("link", name="Pay $40.00").click()
    customer.wait_for_url(f"{month.stripe.base_url}/hosted/invoice/**")
    customer.get_by_role("button", name="Pay").click()
    customer.get_by_role("heading", name="Thank you").wait_for()
    assert month.stripe_invoice("bob").status == "paid"


def test_customers_are_found_while_somebody_types(operator: Page, site: Site) -> None:
    operator.goto(f"{site.address}/console/customers")
    operator.get_by_label("Id, name or e-mail").press_sequentially("bob")
    operator.locator("#rows").get_by_text("Customer ann").wait_for(state="detached")
    assert operator.locator("#rows").get_by_text("Customer bob").count() == 1


def test_a_hold_is_placed_with_a_keyboard_alone(operator: Page, site: Site, warehouse: Warehouse) -> None:
    operator.goto(f"{site.address}/console/customers/bob")
    link = operator.get_by_role("link", name="Hold…")
    for _ in range(40):
        operator.keyboard.press("Tab")
        if link.evaluate("(element) => element === document.activeElement"):
            break
    operator.keyboard.press("Enter")
    operator.wait_for_url("**/console/do/customers/hold/bob")
    reason = operator.get_by_label("Why?")
    for _ in range(40):
        operator.keyboard.press("Tab")
        if reason.evaluate("(element) => element === document.activeElement"):
            break
    operator.keyboard.type("asks for a new contract")
    operator.keyboard.press("Tab")
    operator.keyboard.press("Enter")
    operator.get_by_role("heading", name="Hold: done").wait_for()
    assert warehouse.scalar("SELECT reason FROM billing.holds") == "asks for a new contract"


def test_two_operators_at_the_same_button_change_it_once(
    operator: Page, context: BrowserContext, site: Site, warehouse: Warehouse
) -> None:
    second = context.new_page()
    for page in (operator, second):
        page.goto(f"{site.address}/console/do/customers/hold/bob")
        page.get_by_label("Why?").fill("a doubt")
    for page in (operator, second):
        page.get_by_role("button", name="Hold").click()
    second.get_by_role("alert").wait_for()
    assert warehouse.scalar("SELECT count(*) FROM billing.holds") == 1


def test_arabic_is_written_from_right_to_left(customer: Page, site: Site) -> None:
    customer.goto(f"{site.address}/portal/?lang=ar")
    brand, leave = customer.locator(".brand").bounding_box(), customer.locator(".who").bounding_box()
    assert brand is not None
    assert leave is not None
    assert brand["x"] > leave["x"]


def test_the_portal_works_in_a_frame_of_another_site_whose_cookies_are_blocked(
    chromium: Browser, month: CorrectingWorld
) -> None:
    around = "http://127.0.0.1:9999"  # nothing listens there: the browser is answered below
    with serving(month, framed_by=around) as site:
        browser = chromium.browser_type.launch(
            executable_path=FOUND,
            args=[*QUIET, "--test-third-party-cookie-phaseout", "--disable-features=LocalNetworkAccessChecks"],
        )
        page = browser.new_page(locale="en-GB")
        link = f"{site.address}/portal/enter/{portal_link(site.warehouse, MAKER, 'bob')}"
        frame_of = f'<!doctype html><iframe title="Billing" src="{link}" width="900" height="700"></iframe>'
        page.route(f"{around}/**", lambda route: route.fulfill(body=frame_of, content_type="text/html"))
        page.goto(f"{around}/")
        framed = page.frame_locator("iframe")
        framed.get_by_role("button").click()
        framed.get_by_role("link", name="Deutsch").click()
        framed.get_by_role("link", name="Rechnungen").first.click()
        framed.get_by_role("heading", name="Rechnungen").wait_for()
        assert {(one["sameSite"], one["secure"]) for one in page.context.cookies()} == {("None", True)}
        framed.get_by_role("link", name=re.compile("^INV-")).first.click()
        framed.get_by_role("link", name=re.compile("bezahlen")).first.click()
        stripe = framed.locator("a[target=_top]")
        stripe.click()  # Stripe lets nobody frame its pages: it opens in place of the page around
        page.wait_for_url(f"{month.stripe.base_url}/hosted/invoice/**")
        browser.close()
