"""A shadow is what a run would bill, and leaves no trace."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.comparison import shadow as shadows
from billing_pipeline.comparison.book_shadows import shadow_of_book
from billing_pipeline.comparison.files import SCHEMA, ExpectationError, read_expected, write_csv, write_parquet
from billing_pipeline.comparison.html import Comparison, render
from billing_pipeline.comparison.rules.month_diff import MonthLine, differences, waterfalls
from billing_pipeline.comparison.shadow import MonthTooFarError, Shadow, month_lines, shadow_month
from billing_pipeline.core.errors import UserError
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.price_book import load_price_books
from billing_pipeline_tests.databases import digests
from billing_pipeline_tests.month_rows import (
    BOOK,
    DECEMBER,
    LONG_AFTER,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    change_customer,
    complete_feed,
    load_book,
    pass_gates,
)

DEARER = BOOK.replace('unit_amount: "3"', 'unit_amount: "4"')


def _platform(warehouse: Warehouse) -> None:
    load_book(warehouse)
    add_customer(warehouse, "ann", name="<b>Ann</b>")
    add_customer(warehouse, "bob", timezone="Asia/Tokyo")
    add_customer(warehouse, "cyd", billing_cycle="10_days", cycle_anchor=date(2025, 9, 12))
    meters: list[tuple[str, dict[str, str]]] = [
        ("calls", {}),
        ("peak", {}),
        ("storage", {}),
        ("clusters", {"size": "small", "environment": "production"}),
    ]
    add_usage(
        warehouse,
        [
            Event(f"{customer}-{meter}-{day}", customer, meter, 10 + number, at(f"2025-{day}"), dimensions)
            for customer in ("ann", "bob", "cyd")
            for number, (meter, dimensions) in enumerate(meters)
            for day in ("09-15", "10-07", "11-02")
        ],
    )
    complete_feed(warehouse, at("2026-01-01"))


def _shadow(warehouse: Warehouse, month: date, book: str = BOOK, **options: Any) -> Shadow:
    return shadow_month(warehouse, month, load_price_books(book, "book.yaml"), LONG_AFTER, **options)


def _sorted(lines: list[MonthLine]) -> list[MonthLine]:
    return sorted(lines, key=lambda line: line.key)


def test_a_shadow_bills_what_a_run_bills_before_and_after_it_and_touches_nothing(warehouse: Warehouse):
    _platform(warehouse)
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        before = digests(warehouse)
        ahead = _shadow(warehouse, month)
        assert digests(warehouse) == before
        bill(warehouse, month)
        booked = _sorted(month_lines(warehouse, month))
        assert len(booked) > 8
        assert _sorted(ahead.lines) == booked
        pass_gates(warehouse, month)
        finalise_month(warehouse, month, "charged")
        before = digests(warehouse)
        assert _sorted(_shadow(warehouse, month).lines) == booked
        assert digests(warehouse) == before
    assert warehouse.scalar("SELECT count(*) FROM pg_class WHERE relpersistence = 't'") == 0, (
        "the scratch tables are gone"
    )


def test_another_price_book_shows_what_it_would_change_and_nothing_else(warehouse: Warehouse):
    _platform(warehouse)
    bill(warehouse, SEPTEMBER)
    bill(warehouse, OCTOBER)
    shadow = _shadow(warehouse, OCTOBER, DEARER)
    found = differences(month_lines(warehouse, OCTOBER), shadow.lines)
    assert {each.meter for each in found} == {"peak"}
    assert all(each.difference_minor == each.price_minor == 100 * int(each.after_quantity) for each in found)
    without = _shadow(
        warehouse, OCTOBER, BOOK.replace('      - {meter: peak, model: per_unit, unit_amount: "3"}\n', "")
    )
    assert without.unpriced_snapshots == warehouse.scalar(
        "SELECT count(*) FROM billing.billing_periods WHERE billing_month = :month", month=OCTOBER
    )
    other_meter = _shadow(warehouse, OCTOBER, BOOK.replace("{aggregation: max}", "{aggregation: sum}"))
    assert {d.meter for d in differences(month_lines(warehouse, OCTOBER), other_meter.lines)} == {"peak"}


def test_a_shadow_sees_late_usage_of_a_billed_month_and_keeps_a_customer_who_left(warehouse: Warehouse):
    _platform(warehouse)
    bill(warehouse, SEPTEMBER, as_of=at("2025-12-01"))
    bill(warehouse, OCTOBER, as_of=at("2025-12-01"))
    pass_gates(warehouse, OCTOBER)
    finalise_month(warehouse, OCTOBER, "charged")
    change_customer(warehouse, "ann", status="inactive")
    assert differences(month_lines(warehouse, OCTOBER), _shadow(warehouse, OCTOBER).lines) == []
    add_usage(warehouse, [Event("late", "ann", "peak", 90, at("2025-10-20"), received_at=at("2026-01-15"))])
    [found] = differences(month_lines(warehouse, OCTOBER), _shadow(warehouse, OCTOBER).lines)
    assert (found.customer_id, found.meter, found.difference_minor) == ("ann", "peak", (90 - 11) * 300)


def test_a_shadow_carries_forward_as_a_run_does(warehouse: Warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("c", "ann", "calls", 500, at("2025-09-05"))])
    complete_feed(warehouse, at("2025-10-10"))
    bill(warehouse, SEPTEMBER)
    carried = _shadow(warehouse, OCTOBER, carry_forward=True)
    assert {line.meter for line in _shadow(warehouse, OCTOBER).lines} == {"fee"}
    bill(warehouse, OCTOBER, carry_forward=True)
    assert _sorted(carried.lines) == _sorted(month_lines(warehouse, OCTOBER))
    assert _sorted(_shadow(warehouse, OCTOBER).lines) == _sorted(carried.lines), "it was released"


def test_a_month_after_a_gap_is_refused_by_the_month_to_run_first(warehouse: Warehouse):
    _platform(warehouse)
    bill(warehouse, OCTOBER)
    with pytest.raises(MonthTooFarError, match=r"2025-12 has months before it .*: run 2025-11 first"):
        _shadow(warehouse, DECEMBER)


def test_postgres_refuses_a_shadow_that_writes_to_the_books(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    _platform(warehouse)
    write = (
        "INSERT INTO billing.usage_imports (source, received_at, row_count, new_event_count) VALUES ('x', now(), 0, 0)"
    )
    monkeypatch.setattr(shadows, "_write_meters", lambda connection, _books: connection.execute(text(write)))
    with pytest.raises(DBAPIError, match="read-only transaction"):
        _shadow(warehouse, OCTOBER)


def test_the_files_say_the_same_and_the_csv_is_its_own_expectation(warehouse: Warehouse, tmp_path: Path):
    _platform(warehouse)
    bill(warehouse, SEPTEMBER)
    bill(warehouse, OCTOBER)
    before, after = month_lines(warehouse, SEPTEMBER), _shadow(warehouse, OCTOBER, DEARER).lines
    found = differences(before, after)
    write_csv(found, tmp_path / "d.csv")
    write_parquet(found, tmp_path / "d.parquet")
    assert read_expected(tmp_path / "d.csv") == {each.key: each.difference_minor for each in found}
    table = pq.read_table(tmp_path / "d.parquet")
    assert table.schema == SCHEMA
    assert [row["difference_minor"] for row in table.to_pylist()] == [each.difference_minor for each in found]
    page = render(
        "T", waterfalls(before, after, found), ("2025-09", "2025-10"), [Comparison("C", "a", "b", found)], "end"
    )
    assert page.count("<svg") == 1
    assert page.count('<tr class="customer">') == 3
    assert not re.search(r"(src|href)=|@import|url\(", page), "one file that needs no other"
    assert "<svg" not in render("T", [], ("a", "b"), [Comparison("C", "a", "b", [])], "end")


def test_what_a_customer_is_called_cannot_break_the_page(warehouse: Warehouse):
    load_book(warehouse, BOOK.replace('amount: "10"}', 'amount: "10", description: "<script>x</script>"}'))
    add_customer(warehouse, "<i>ann</i>")
    bill(warehouse, OCTOBER)
    after = month_lines(warehouse, OCTOBER)
    found = differences([], after)
    page = render("T", waterfalls([], after, found), ("a", "b"), [Comparison("C", "a", "b", found)], "end")
    assert "<script>" not in page
    assert "<i>" not in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("customer_id,currency\n", "expected the column meter, as --csv writes it"),
        (
            "currency,customer_id,meter,dimensions,kind,difference_minor\nusd,a,m,{},usage,1.5\n",
            "line 2, difference_minor",
        ),
        (
            "currency,customer_id,meter,dimensions,kind,difference_minor\n" + "usd,a,m,{},usage,1\n" * 2,
            "line 3.* twice",
        ),
    ],
)
def test_a_wrong_expectation_is_refused_by_its_place(tmp_path: Path, content: str, message: str):
    (tmp_path / "e.csv").write_text(content)
    with pytest.raises(ExpectationError, match=message):
        read_expected(tmp_path / "e.csv")


def test_a_file_that_cannot_be_written_or_read_is_named(tmp_path: Path):
    for write in (write_csv, write_parquet):
        with pytest.raises(UserError, match=r"nowhere/d: No such file"):
            write([], tmp_path / "nowhere" / "d")
    with pytest.raises(ExpectationError, match=r"gone\.csv: No such file"):
        read_expected(tmp_path / "gone.csv")


def test_a_new_book_is_held_against_a_drafted_month_customer_by_customer_and_nothing_is_written(warehouse: Warehouse):
    _platform(warehouse)
    books = load_price_books(DEARER, "book.yaml")
    with pytest.raises(UserError, match="2025-10 has no invoices: expected a month that is drafted"):
        shadow_of_book(warehouse, OCTOBER, books, LONG_AFTER)
    bill(warehouse, SEPTEMBER)
    bill(warehouse, OCTOBER)
    before = digests(warehouse)
    same = shadow_of_book(warehouse, OCTOBER, load_price_books(BOOK, "book.yaml"), LONG_AFTER)
    assert (same.customers, same.unpriced_snapshots) == ([], 0)
    found = shadow_of_book(warehouse, OCTOBER, books, LONG_AFTER)
    [total] = found.totals
    # ann and bob peak at 11 in one period, cyd in each of hers: a dollar more a unit
    assert {(row.customer_id, row.difference_minor) for row in found.customers} >= {("ann", 1100), ("bob", 1100)}
    assert [abs(row.difference_minor) for row in found.customers] == sorted(
        (abs(row.difference_minor) for row in found.customers), reverse=True
    )
    assert (
        total.causes["price"]
        == total.after_minor - total.before_minor
        == sum(row.difference_minor for row in found.customers)
    )
    assert {line.meter for row in found.customers for line in row.lines} == {"peak"}
    assert digests(warehouse) == before
    with pytest.raises(UserError, match=r"2025-10 has more than 5 lines: .*billing run --month 2025-10 --shadow"):
        shadow_of_book(warehouse, OCTOBER, books, LONG_AFTER, lines_max=5)
