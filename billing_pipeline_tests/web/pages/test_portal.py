"""A customer reads an invoice line by line, in their language and zone."""

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.pages.words import LANGUAGES, language_for, words_of
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.web.pages.conftest import Site


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_page_answers_in_each_language_and_keeps_it(site: Site, month: CorrectingWorld, language: str) -> None:
    client = site.portal("bob")
    client.get(f"/portal/?lang={language}")
    for path in ("/portal/", "/portal/invoices", f"/portal/invoices/{month.number_of('bob')}", "/portal/plan"):
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
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(
            "UPDATE billing.invoices SET status = 'draft', invoice_number = NULL, finalised_at = NULL, finalised_by = NULL,"
            " finalised_through = NULL WHERE customer_id = 'bob'"
        )
    assert "INV-" not in site.portal("bob").get("/portal/invoices").text
