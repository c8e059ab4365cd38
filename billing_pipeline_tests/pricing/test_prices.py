"""The price book as tables: rows are added and retired, never edited."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.reading import prices_of_customer, terms_of_customer
from billing_pipeline_tests.month_rows import (
    BOOK,
    OCTOBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    checksums,
    load_book,
)

EURO = BOOK.replace("currency: usd", "currency: eur")
ROWS = 6
STORAGE = '      - {meter: storage, model: per_unit, unit_amount: "0.1", minimum: "5"}\n'
SECOND_VERSION = '  - {id: "2026", effective_from: 2026-01-01, prices: [{meter: fee, model: flat, amount: "11"}]}\n'


def _in_use(warehouse: Warehouse) -> dict[Any, dict[str, Any]]:
    rows = warehouse.rows("SELECT * FROM billing.prices WHERE retired_at IS NULL")
    return {row["price_id"]: row for row in rows}


def test_the_same_file_twice_changes_nothing(warehouse):
    loaded = load_book(warehouse, BOOK + "---" + EURO, run_id="first")
    assert (loaded.in_use, loaded.added, loaded.retired) == (2 * ROWS, 2 * ROWS, 0)
    before = checksums(warehouse)
    loaded = load_book(warehouse, BOOK + "---" + EURO, run_id="second")
    assert (loaded.in_use, loaded.added, loaded.retired) == (2 * ROWS, 0, 0)
    assert checksums(warehouse) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('unit_amount: "3"', 'unit_amount: "4"'),
        ('unit_amount: "3"', 'unit_amount: "3", description: Peak'),
        ('minimum: "5"', 'minimum: "6"'),
        ("included: 10", "included: 11"),
        (
            'model: per_unit, included: 10, unit_amount: "0.015"',
            'model: package, included: 10, package_size: 5, amount: "0.015"',
        ),
        ('small: {production: "40"}', 'small: {production: "41"}'),
        ('small: {production: "40"}', 'tiny: {production: "40"}'),
    ],
)
def test_a_changed_price_retires_its_row_and_adds_another(warehouse, before, after):
    load_book(warehouse)
    old = _in_use(warehouse)
    assert before in BOOK
    loaded = load_book(warehouse, BOOK.replace(before, after))
    new = _in_use(warehouse)
    assert (loaded.added, loaded.retired, len(new)) == (1, 1, ROWS)
    assert len(old.keys() & new.keys()) == ROWS - 1
    [retired] = warehouse.rows("SELECT * FROM billing.prices WHERE retired_at IS NOT NULL")
    assert {**retired, "retired_at": None} == old[retired["price_id"]]


def test_a_price_that_comes_back_is_the_same_row_again(warehouse):
    load_book(warehouse)
    before = checksums(warehouse, ["prices", "meters", "price_versions"])
    load_book(warehouse, BOOK.replace('unit_amount: "3"', 'unit_amount: "4"'))
    load_book(warehouse)
    assert len(_in_use(warehouse)) == ROWS
    assert warehouse.scalar("SELECT count(*) FROM billing.prices") == ROWS + 1
    after = checksums(warehouse, ["prices", "meters", "price_versions"])
    assert (after["meters"], after["price_versions"]) == (before["meters"], before["price_versions"])


def test_a_moved_effective_from_is_another_version_and_other_prices(warehouse):
    load_book(warehouse, BOOK + SECOND_VERSION)
    loaded = load_book(warehouse, BOOK + SECOND_VERSION.replace("2026-01-01", "2026-02-01"))
    assert (loaded.added, loaded.retired) == (1, 1)
    versions = warehouse.rows("SELECT version_id, effective_from::text FROM billing.price_versions ORDER BY 1")
    assert [tuple(row.values()) for row in versions] == [("2025", "2025-01-01"), ("2026", "2026-02-01")]
    assert [r["effective_from"].month for r in _in_use(warehouse).values() if r["version_id"] == "2026"] == [2]


def test_two_versions_may_change_places(warehouse):
    load_book(warehouse, BOOK + SECOND_VERSION)
    swapped = BOOK.replace("2025-01-01", "2026-01-01") + SECOND_VERSION.replace("2026-01-01", "2025-01-01")
    load_book(warehouse, swapped)
    versions = warehouse.rows("SELECT version_id FROM billing.price_versions ORDER BY effective_from")
    assert [row["version_id"] for row in versions] == ["2026", "2025"]


def test_a_version_a_meter_and_a_book_that_the_file_no_longer_holds_are_gone(warehouse):
    load_book(warehouse, BOOK + SECOND_VERSION + "---" + EURO)
    loaded = load_book(warehouse, BOOK + "---" + EURO)
    assert loaded.retired == 1
    assert warehouse.scalar("SELECT count(*) FROM billing.price_versions WHERE version_id = '2026'") == 0

    without_storage = BOOK.replace("  storage:  {aggregation: time_weighted}\n", "").replace(STORAGE, "")
    loaded = load_book(warehouse, without_storage + "---" + EURO)
    assert loaded.retired == 1
    assert warehouse.rows("SELECT currency FROM billing.meters WHERE meter = 'storage'") == [{"currency": "eur"}]

    loaded = load_book(warehouse, without_storage)
    assert (loaded.in_use, loaded.retired) == (ROWS - 1, ROWS)
    for table in ("price_books", "meters", "price_versions"):
        assert warehouse.rows(f"SELECT DISTINCT currency FROM billing.{table}") == [{"currency": "usd"}], table


def test_a_meters_aggregation_dimensions_and_unit_follow_the_file(warehouse):
    load_book(warehouse)
    load_book(warehouse, BOOK.replace("peak:     {aggregation: max}", "peak: {aggregation: last, unit: seat}"))
    [meter] = warehouse.rows("SELECT aggregation, unit, dimensions FROM billing.meters WHERE meter = 'peak'")
    assert meter == {"aggregation": "last", "unit": "seat", "dimensions": []}


def test_a_retired_price_stays_for_the_lines_that_it_priced_and_no_longer_prices(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("a", "ann", "peak", 2, at("2025-10-05"))])
    bill(warehouse, OCTOBER)
    load_book(warehouse, BOOK.replace('unit_amount: "3"', 'unit_amount: "4"'))
    line = (
        "SELECT exact_amount, p.unit_amount, p.retired_at FROM billing.invoice_line_items AS l JOIN billing.prices AS p"
    )
    line += " USING (price_id) WHERE l.meter = 'peak'"
    [row] = warehouse.rows(line)
    assert (row["exact_amount"], row["unit_amount"]) == (6, 3)
    assert row["retired_at"] is not None
    bill(warehouse, OCTOBER)
    [row] = warehouse.rows(line)
    assert (row["exact_amount"], row["retired_at"]) == (8, None)


def test_what_holds_for_a_customer_today_is_looked_up_by_the_day_in_its_time_zone(warehouse):
    hour, today = (datetime.now(UTC).hour, datetime.now(UTC).date())
    # at any time of the day one of these zones has another day than UTC
    zone, day = (
        ("Pacific/Kiritimati", today + timedelta(days=1)) if hour >= 10 else ("Etc/GMT+12", today - timedelta(days=1))
    )
    later = max(day, today)
    changed = BOOK[BOOK.index("    prices:") :].replace('unit_amount: "3"', 'unit_amount: "4"')
    until = f"\n    discounts: [{{name: spring, percent: 10, until: {min(day, today)}}}]\n"
    load_book(warehouse, BOOK + f'  - id: "later"\n    effective_from: {later}\n{changed}{until}')
    add_customer(warehouse, "ann", timezone=zone)
    [peak] = [row for row in prices_of_customer(warehouse, "ann", "usd") if row["meter"] == "peak"]
    assert peak["unit_amount"] == (4 if day == later else 3)
    assert terms_of_customer(warehouse, "ann", "usd") == []
