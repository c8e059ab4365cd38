"""The demo's customers, usage and price book: always the same, and with every case in them that the demo shows."""

import csv
import io
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.core.money import exponent
from billing_pipeline.core.timezones import is_timezone
from billing_pipeline.customers.rules.billing_cycle import parse_cycle
from billing_pipeline.pricing.price_books import default_book_text
from billing_pipeline.pricing.rules.price_book import PriceBook, load_price_books
from billing_pipeline.sandbox.demo import last_finished_month
from billing_pipeline.sandbox.demo.population import EXAMPLES, GENERATED, customers_file, population
from billing_pipeline.sandbox.demo.price_book import CHANGING_CURRENCY, CHANGING_METER, demo_book
from billing_pipeline.sandbox.demo.usage import QUARANTINED, usage_file

MONTHS = (date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def books(*months: date) -> dict[str, PriceBook]:
    return {book.currency: book for book in load_price_books(demo_book(months or MONTHS), "demo")}


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2026-11-01T11:59:59", date(2026, 9, 1)),
        ("2026-11-01T12:00:00", date(2026, 10, 1)),
        ("2026-11-30T23:00:00", date(2026, 10, 1)),
        ("2026-01-15T00:00:00", date(2025, 12, 1)),
        ("2026-01-01T00:00:00", date(2025, 11, 1)),
    ],
)
def test_the_demo_bills_the_newest_month_that_has_ended_in_every_time_zone(now, month):
    assert last_finished_month(datetime.fromisoformat(now).replace(tzinfo=UTC)) == month


def test_another_process_generates_the_same_bytes():
    script = (
        "from datetime import date; from hashlib import sha256;"
        "from billing_pipeline.sandbox.demo.population import customers_file;"
        "from billing_pipeline.sandbox.demo.usage import usage_file;"
        "print(sha256((customers_file({}) + usage_file(date(2026, 10, 1))).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    theirs = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    ours = sha256((customers_file({}) + usage_file(MONTHS[-1])).encode()).hexdigest()
    assert theirs.stdout.strip() == ours


def test_event_ids_are_unique_over_months():
    ids = [row["event_id"] for month in MONTHS for row in rows(usage_file(month))]
    assert len(ids) == len(set(ids))
    assert len(ids) > 5_000


def test_every_event_lies_in_its_month_in_the_customers_time_zone():
    zones = {customer.customer_id: customer.timezone for customer in population()}
    for row in rows(usage_file(MONTHS[-1])):
        occurred_at = datetime.fromisoformat(row["occurred_at"])
        assert occurred_at.tzinfo is not None
        local = occurred_at.astimezone(ZoneInfo(zones.get(row["customer_id"], "UTC")))
        assert (local.year, local.month) == (2026, 10), row


def test_quantities_are_plain_decimals_that_are_not_negative():
    used = [row for row in rows(usage_file(MONTHS[-1])) if row["meter"] != "course_seats"]  # which events change
    assert all(Decimal(row["quantity"]) >= 0 for row in used)


def test_the_population_has_every_kind_of_customer():
    everybody = population()
    assert len(everybody) == len({customer.customer_id for customer in everybody}) > GENERATED >= 200
    assert {exponent(customer.currency) for customer in everybody} == {0, 2, 3}
    assert len({customer.timezone for customer in everybody}) >= 12
    assert all(is_timezone(customer.timezone) for customer in everybody)
    cycles = {parse_cycle(customer.billing_cycle, customer.cycle_anchor).text for customer in everybody}
    assert cycles == {"calendar_month", "monthly", "14_days", "28_days", "30_days", "45_days"}
    assert {customer.at_stripe for customer in everybody} == {"known", "unlinked", "absent"}
    reasons = Counter(customer.expected_reason for customer in everybody)
    assert (reasons["declined"], reasons["action_required"], reasons["no_payment_method"]) == (1, 1, 3)


def test_a_customer_without_a_card_is_expected_to_stay_open():
    for customer in population():
        assert (customer.card is None) == (customer.expected_reason == "no_payment_method")
        assert customer.at_stripe != "absent" or customer.card is None


def test_the_customers_file_keeps_leading_zeros_and_blanks_what_the_platform_does_not_know():
    first, second, *_ = rows(customers_file({"00001": "cus_1"}))
    assert (first["customer_id"], first["stripe_customer_id"]) == ("00001", "cus_1")
    assert (second["customer_id"], second["stripe_customer_id"], second["cycle_anchor"]) == ("00002", "", "")


def test_every_currency_has_a_book_that_loads():
    assert set(books()) == {customer.currency for customer in population()}


def test_the_dollar_book_has_the_prices_of_the_worked_examples():
    (lyceum,) = load_price_books(default_book_text(), "lyceum")
    ours = {price.meter: price for price in books()["usd"].versions[0].prices}
    for price in lyceum.versions[0].prices:
        same = ours[price.meter]
        assert (same.model, same.rates, same.included, same.minimum) == (
            price.model, price.rates, price.included, price.minimum,
        )  # fmt: skip


def test_one_price_changes_with_the_billed_month_and_nothing_else_does():
    base, *versions = books()[CHANGING_CURRENCY].versions
    assert [version.effective_from for version in versions] == list(MONTHS)
    amounts = []
    for version in versions:
        for price, before in zip(version.prices, base.prices, strict=True):
            if price.meter == CHANGING_METER:
                amounts.append(price.rates[0].amount)
            else:
                assert price == before
    assert len(set(amounts)) == len(amounts)
    assert all(len(book.versions) == 1 for currency, book in books().items() if currency != CHANGING_CURRENCY)


def test_a_months_price_is_the_same_whichever_month_is_billed():
    earlier, later = books(*MONTHS)[CHANGING_CURRENCY], books(*MONTHS[1:], date(2026, 11, 1))[CHANGING_CURRENCY]
    shared = {version.id: version for version in earlier.versions}
    assert [shared[version.id] == version for version in later.versions[:3]] == [True] * 3


def test_all_models_aggregations_and_per_customer_prices_are_used():
    dollars = books()["usd"]
    used = {row["meter"] for row in rows(usage_file(MONTHS[-1]))}
    assert {meter.aggregation for meter in dollars.meters.values()} == {
        "constant", "sum", "count", "unique", "last", "max", "time_weighted",
    }  # fmt: skip
    assert {price.model for price in dollars.versions[0].prices} == {
        "flat", "per_unit", "graduated", "volume", "package",
    }  # fmt: skip
    assert used >= set(dollars.meters) - {"platform_fee"}
    ids = {customer.customer_id for customer in population()}
    assert set(dollars.versions[0].customers) <= ids
    assert any(meter.events == "deltas" for meter in dollars.meters.values())
    prices = dollars.versions[0].prices
    for term in ("included", "minimum", "maximum", "scope", "pool", "lines", "tier_rates"):
        assert any(getattr(price, term) for price in prices), term
    assert any(tier.flat_amount for price in prices for tier in price.tiers)
    assert {term.kind for term in dollars.versions[0].terms} == {"commitment", "discount"}
    assert set(dollars.versions[0].trials) <= set(dollars.versions[0].plans)


def test_what_is_seeded_wrong_is_in_the_usage():
    found = {(row["customer_id"], row["meter"]) for row in rows(usage_file(MONTHS[-1]))}
    assert found >= QUARANTINED


def test_the_examples_totals_are_those_of_the_price_list():
    assert [example.expected_minor for example in EXAMPLES] == [4_000, 25_450, 101_000]
