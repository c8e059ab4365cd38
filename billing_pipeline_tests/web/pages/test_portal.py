"""A customer reads an invoice line by line, in their language and zone."""

import re
from datetime import UTC, datetime

import httpx
import pytest

from billing_pipeline.charging.customer_payments import TRIES_MAX_A_DAY
from billing_pipeline.customers.details import read_details
from billing_pipeline.invoicing.credits import grant_credits
from billing_pipeline.notices.budgets import list_budgets
from billing_pipeline.notices.choices import list_choices
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.pages.words import LANGUAGES, language_for, words_of
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.month_rows import BOOK, Event, add_usage, load_book
from billing_pipeline_tests.web.pages.conftest import MAKER, Site, csrf_of


def test_what_is_due_stands_on_the_first_page(site: Site, month: CorrectingWorld) -> None:
    bob = site.portal("bob").get("/portal/").text
    assert "1 invoice is open" in bob
    assert "$40.00 due" in bob
    assert month.number_of("bob") in bob
    assert "Nothing is open" in site.portal("ann").get("/portal/").text


def test_an_invoice_is_read_line_by_line(site: Site, month: CorrectingWorld) -> None:
    shown = site.portal("ann").get(f"/portal/invoices/{month.number_of('ann')}").text
    for text in ("line 1", "line 2", "$40.00", "$10.00", "$50.00", "paid"):
        assert text in shown


def test_the_price_list_says_all_that_a_price_takes(site: Site, month: CorrectingWorld) -> None:
    peak = '{meter: peak, model: per_unit, unit_amount: "3"}'
    tiers = '{meter: peak, model: graduated, maximum: "90", tiers: [{up_to: null, unit_amount: "3", flat_amount: "7"}]}'
    load_book(month.warehouse, BOOK.replace(peak, tiers).replace("included: 10,", "included: 10, pool: talk,"))
    shown = site.portal("ann").get("/portal/plan").text
    for text in ("at least $5.00 a period", "at most $90.00 a period", "and $7.00 once", "shared: talk"):
        assert shown.count(text) == 1, text


def test_the_overview_says_what_is_included_and_what_is_left(site: Site, month: CorrectingWorld) -> None:
    load_book(month.warehouse, BOOK)
    add_usage(month.warehouse, [Event("c", "bob", "calls", 7, datetime.now(UTC))])
    shown = site.portal("bob").get("/portal/").text
    assert "7 of 10 used" in shown
    assert "3 left" in shown
    add_usage(month.warehouse, [Event("d", "bob", "calls", 8, datetime.now(UTC))])
    assert "5 above what is included" in site.portal("bob").get("/portal/").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_page_answers_in_each_language_and_keeps_it(site: Site, month: CorrectingWorld, language: str) -> None:
    client = site.portal("bob")
    client.get(f"/portal/?lang={language}")
    for path in ("/portal/", "/portal/invoices", f"/portal/invoices/{month.number_of('bob')}", "/portal/plan",
                 "/portal/payment-methods", "/portal/credits", "/portal/account", "/portal/alerts"):  # fmt: skip
        shown = client.get(path)
        assert shown.status_code == 200
        assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in shown.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_every_sentence(language: str) -> None:
    assert words_of(language).keys == words_of("en").keys


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "fr-FR,de;q=0.8,en;q=0.5", "de"),
        ("ar", "de", "ar"),
        ("xx", "de-AT", "de"),
        ("../en", "", "en"),
    ],
)
def test_the_language_is_the_one_asked_for_or_the_browser_s_first_that_we_have(
    asked: str | None, accepted: str, language: str
) -> None:
    assert language_for(asked, accepted) == language


def test_plurals_follow_the_language() -> None:
    assert [words_of("ar")("open_invoices", count=count) for count in (1, 2, 3, 11)] == [
        "فاتورة واحدة مفتوحة", "فاتورتان مفتوحتان", "3 فواتير مفتوحة", "11 فاتورة مفتوحة",
    ]  # fmt: skip


def test_a_draft_is_not_shown_to_its_customer(site: Site, warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(
            "UPDATE billing.invoices SET status = 'draft', invoice_number = NULL, finalised_at = NULL, finalised_by = NULL,"
            " finalised_through = NULL WHERE customer_id = 'bob'"
        )
    assert "INV-" not in site.portal("bob").get("/portal/invoices").text


def send(client: httpx.Client, page: str, to: str, **fields: str) -> httpx.Response:
    """A form of the page, filled in and sent."""
    return client.post(to, data={"csrf": csrf_of(client.get(page).text), **fields})


def test_pay_leads_to_stripe_s_page_where_the_invoice_is_paid(site: Site, month: CorrectingWorld) -> None:
    number = month.number_of("bob")
    client = site.portal("bob")
    assert f'href="/portal/invoices/{number}/pay"' in client.get("/portal/").text
    hosted = client.get(f"/portal/invoices/{number}/pay")
    assert str(hosted.url).startswith(month.stripe.base_url)
    httpx.post(str(hosted.url), data={"kind": "good"})
    assert month.stripe_invoice("bob").status == "paid"
    assert "is paid" in client.get(f"/portal/invoices/{number}/pdf").text


def test_a_refused_payment_is_tried_again_to_the_end_three_times_a_day(
    site: Site, month: CorrectingWorld, warehouse: Warehouse
) -> None:
    number = month.number_of("bob")
    client = site.portal("bob")
    page = f"/portal/invoices/{number}"
    for said in ("refused again", "refused again"):
        assert said in send(client, "/portal/account", f"{page}/retry").text
    customer = month.charges()["bob"]["stripe_customer_id"]
    method = month.stripe.api.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    month.stripe.api.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    assert "the invoice is paid" in send(client, "/portal/account", f"{page}/retry").text
    assert warehouse.scalar("SELECT status FROM billing.invoices WHERE customer_id = 'bob'") == "paid"
    actors = warehouse.rows("SELECT actor FROM billing.automation_log WHERE action = 'charge.retry'")
    assert actors == [{"actor": "customer bob"}] * 3
    assert "nothing was changed" in send(client, "/portal/account", f"{page}/retry").text


def test_a_card_that_is_refused_again_and_again_is_left_alone(site: Site, month: CorrectingWorld) -> None:
    client = site.portal("bob")
    page = f"/portal/invoices/{month.number_of('bob')}"
    for _ in range(TRIES_MAX_A_DAY):
        send(client, "/portal/account", f"{page}/retry")
    attempts = month.stripe_invoice("bob").attempt_count
    assert "tried often enough" in send(client, "/portal/account", f"{page}/retry").text
    assert month.stripe_invoice("bob").attempt_count == attempts


def test_another_customer_s_invoice_is_neither_shown_nor_paid(site: Site, month: CorrectingWorld) -> None:
    number = month.number_of("bob")
    client = site.portal("ann")
    for path in ("", "/pay", "/pdf"):
        assert client.get(f"/portal/invoices/{number}{path}").status_code == 404
    assert send(client, "/portal/account", f"/portal/invoices/{number}/retry").status_code == 404
    assert month.stripe_invoice("bob").attempt_count == 1


def test_a_form_from_elsewhere_does_nothing(site: Site, month: CorrectingWorld, warehouse: Warehouse) -> None:
    client = site.portal("bob")
    for to in (f"/portal/invoices/{month.number_of('bob')}/retry", "/portal/payment-methods", "/portal/account"):
        assert client.post(to, data={"csrf": "0" * 64, "city": "Elsewhere"}).status_code == 403
    assert warehouse.scalar("SELECT city FROM billing.customers WHERE customer_id = 'bob'") is None
    assert month.stripe_invoice("bob").attempt_count == 1


def test_payment_methods_are_set_on_stripe_s_page(site: Site, month: CorrectingWorld) -> None:
    client = site.portal("bob")
    shown = send(client, "/portal/payment-methods", "/portal/payment-methods").text
    [address] = re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', shown)
    assert address.startswith(f"{month.stripe.base_url}/hosted/portal/")
    saved = httpx.post(address, data={"kind": "good"})
    assert saved.headers["location"] == f"{site.address}/portal/payment-methods?said=method_saved"
    assert "new payment method" in client.get(saved.headers["location"]).text
    assert month.stripe.api.invoices.pay(month.charges()["bob"]["stripe_invoice_id"]).status == "paid"


def test_address_and_tax_id_are_changed_and_logged(site: Site, warehouse: Warehouse) -> None:
    client = site.portal("bob")
    given = {
        "address_line1": "Hauptstraße 1",
        "postal_code": "10115",
        "city": "Berlin",
        "country": "DE",
        "tax_id": "DE1",
    }
    assert "Saved." in send(client, "/portal/account", "/portal/account", **given).text
    assert read_details(warehouse, "bob") | given == read_details(warehouse, "bob")
    [entry] = warehouse.rows(
        "SELECT actor, object_id, state_after FROM billing.automation_log WHERE action = 'customer.change'"
    )
    assert (entry["actor"], entry["object_id"], entry["state_after"]["city"]) == ("customer bob", "bob", "Berlin")
    refused = send(client, "/portal/account", "/portal/account", city="Bern", country="XX")
    assert refused.status_code == 409
    assert 'value="Bern"' in refused.text
    assert read_details(warehouse, "bob")["city"] == "Berlin"


def test_the_language_that_a_customer_chose_is_kept(site: Site, warehouse: Warehouse) -> None:
    send(site.portal("bob"), "/portal/account", "/portal/account/language", language="de")
    assert read_details(warehouse, "bob")["language"] == "de"
    assert '<html lang="de"' in site.portal("bob").get("/portal/").text


def test_credits_are_shown_with_what_used_them_up(site: Site, warehouse: Warehouse) -> None:
    assert "no prepaid credits" in site.portal("ann").get("/portal/credits").text
    grant_credits(warehouse, "ann", 10_000, MAKER, description="Prepaid 2026")
    shown = site.portal("ann").get("/portal/credits").text
    for text in ("$100.00 left", "Prepaid 2026", "granted", "<svg"):
        assert text in shown


def test_a_customer_sets_and_ends_budgets_and_sees_how_far_they_are_reached(site: Site, month: CorrectingWorld) -> None:
    load_book(month.warehouse, BOOK)
    add_usage(month.warehouse, [Event("c", "bob", "calls", 7, datetime.now(UTC))])
    client = site.portal("bob")
    assert "no budget yet" in client.get("/portal/alerts").text
    page, to = "/portal/alerts", "/portal/alerts/budgets"
    assert "Saved." in send(client, page, to, meter="calls", limit="20", thresholds_percent="90, 50").text
    assert "Saved." in send(client, page, to, meter="", limit="60.50").text
    rows = list_budgets(month.warehouse, customer_id="bob")
    assert [(row["meter"], row["limit_quantity"], row["limit_minor"], row["thresholds_percent"]) for row in rows] == [
        ("calls", 20, None, [50, 90]), (None, None, 6050, [50, 80, 100])
    ]  # fmt: skip
    assert {row["author"] for row in rows} == {"customer bob"}
    overview = client.get("/portal/").text
    assert "7 of 20 used" in overview
    assert "35 %" in overview
    assert "of $60.50 used" in overview
    wrong = send(client, page, to, meter="calls", limit="-3")
    assert (wrong.status_code, 'value="-3"' in wrong.text) == (409, True)
    send(client, page, f"{to}/end", meter="calls")
    assert [row["meter"] for row in list_budgets(month.warehouse, customer_id="bob")] == [None]
    assert list_budgets(month.warehouse, customer_id="ann") == []


def test_a_customer_switches_kinds_of_mails_off_and_on_but_none_that_are_due(
    site: Site, month: CorrectingWorld
) -> None:
    client, page = site.portal("bob"), "/portal/alerts"
    assert "Payment received" in client.get(page).text
    assert "Zahlung erhalten" in client.get(f"{page}?lang=de").text
    send(client, page, f"{page}/mails", kind="payment_succeeded", wanted="no")
    [off] = list_choices(month.warehouse, "bob")
    assert (off["kinds"], off["author"], off["email"]) == ("payment_succeeded", "customer bob", None)
    assert 'name="wanted" value="yes"' in client.get(page).text
    send(client, page, f"{page}/mails", kind="payment_succeeded", wanted="yes")
    assert send(client, page, f"{page}/mails", kind="invoice_issued", wanted="no").status_code == 409
    assert list_choices(month.warehouse, "bob") == []
