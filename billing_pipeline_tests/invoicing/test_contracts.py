"""Contracts in the books: who is billed from when until when, on which plan, and what it comes to line by line."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.signature import Signature
from billing_pipeline.customers import contracts
from billing_pipeline.customers.rules.billing_cycle import parse_cycle
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.rules.periods import periods_touching
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.proration import prorated
from billing_pipeline_tests.month_rows import (
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    add_customer,
    add_terms,
    add_usage,
    bill,
    event_of_ann,
    execute,
    finalise_customer,
    lay,
    load_book,
)

ANN = Signature("ann", "as agreed")


def periods(warehouse: Warehouse, customer_id: str = "ann") -> list[tuple[Any, ...]]:
    """First and last day, month, plan and days of the full period."""
    rows = warehouse.rows(
        "SELECT start_date, end_date - 1 AS last, billing_month, plan, full_days FROM billing.billing_periods"
        " WHERE customer_id = :id ORDER BY period_start",
        id=customer_id,
    )
    return [
        (f"{r['start_date']:%m-%d}", f"{r['last']:%m-%d}", r["billing_month"].month, r["plan"], r["full_days"])
        for r in rows
    ]


def lines(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.rows(
        "SELECT p.start_date, l.description, l.amount_minor FROM billing.invoice_line_items AS l"
        " JOIN billing.billing_periods AS p USING (period_id) ORDER BY p.start_date, l.line_no"
    )
    return [(f"{row['start_date']:%m-%d}", row["description"], row["amount_minor"]) for row in rows]


def quarantined(warehouse: Warehouse) -> dict[str, str]:
    rows = warehouse.rows("SELECT meter, reason, billing_month FROM billing.usage_quarantine ORDER BY billing_month")
    return {f"{row['billing_month']:%m} {row['meter']}": row["reason"] for row in rows}


def test_who_joins_on_the_20th_upgrades_on_the_25th_and_leaves_on_the_10th_is_billed_as_a_bookkeeper_would(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann", starts_on=None, timezone="Europe/Berlin")
    contracts.start_contract(warehouse, "ann", date(2025, 10, 20), ANN, plan="basic")
    contracts.change_plan(warehouse, "ann", date(2025, 10, 25), "pro", ANN)
    contracts.end_contract(warehouse, "ann", date(2025, 11, 10), ANN)
    add_usage(
        warehouse,
        [
            event_of_ann("too-early", "calls", 7, "2025-10-19T21:00"),
            event_of_ann("first", "calls", 110, "2025-10-19T22:00"),
            event_of_ann("on-pro", "calls", 210, "2025-10-24T22:00"),
            event_of_ann("last", "calls", 20, "2025-11-10T22:59"),
            event_of_ann("too-late", "calls", 9, "2025-11-10T23:00"),
        ],
    )
    for month in (SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER):
        bill(warehouse, month)
    assert periods(warehouse) == [
        ("10-20", "10-24", 10, "basic", 31),
        ("10-25", "10-31", 10, "pro", 31),
        ("11-01", "11-10", 11, "pro", 30),
    ]
    assert lines(warehouse) == [
        ("10-20", "Fee (5 of 31 days)", 161),
        ("10-20", "Calls", 150),
        ("10-25", "Fee (7 of 31 days)", 226),
        ("10-25", "Calls", 300),
        ("11-01", "Fee (10 of 30 days)", 333),
        ("11-01", "Calls", 15),
    ]
    assert quarantined(warehouse) == {"10 calls": "before_contract", "11 calls": "after_contract"}
    totals = warehouse.rows("SELECT total_minor FROM billing.invoices ORDER BY billing_month, total_minor")
    assert [row["total_minor"] for row in totals] == [311, 526, 348]


def test_without_a_start_nothing_before_the_period_of_the_first_usage_is_billed_and_that_one_in_full(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann", starts_on=None)
    add_customer(warehouse, "new", starts_on=None)
    execute(warehouse, "UPDATE billing.customers SET created_at = '2025-11-20Z'")
    add_usage(warehouse, [event_of_ann("e", "calls", 20, "2025-10-20")])
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        bill(warehouse, month)
    assert periods(warehouse) == [("10-01", "10-31", 10, None, None), ("11-01", "11-30", 11, None, None)]
    assert periods(warehouse, "new") == [("11-01", "11-30", 11, None, None)], "no usage: from its import on"
    add_usage(warehouse, [event_of_ann("late", "calls", 20, "2025-09-03")])
    bill(warehouse, SEPTEMBER)
    assert periods(warehouse)[0] == ("09-01", "09-30", 9, None, None)


def test_an_inferred_start_never_moves_behind_a_period_that_is_billed(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann", starts_on=None)
    execute(warehouse, "UPDATE billing.customers SET created_at = '2025-09-20Z'")
    bill(warehouse, SEPTEMBER)
    finalise_customer(warehouse, "ann", SEPTEMBER)
    add_usage(warehouse, [event_of_ann("e", "calls", 20, "2025-11-20")])
    assert contracts.contracts_of(warehouse, "ann")[0]["starts_on"] == SEPTEMBER


def test_a_contract_that_ends_in_a_longer_cycle_is_billed_in_the_month_of_its_last_instant(warehouse):
    add_customer(warehouse, "ann", billing_cycle="3_months", cycle_anchor=date(2025, 8, 31))
    add_terms(warehouse, "ann", date(2025, 10, 11), "ended")
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        lay(warehouse, month)
    assert periods(warehouse) == [("08-31", "10-10", 10, None, 91)]


def test_who_comes_back_has_another_contract_with_nothing_between(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_terms(warehouse, "ann", date(2025, 10, 11), "ended")
    add_terms(warehouse, "ann", date(2025, 11, 20))
    add_usage(warehouse, [event_of_ann("between", "calls", 20, "2025-11-05")])
    for month in (DECEMBER, OCTOBER, NOVEMBER):
        bill(warehouse, month)
    assert periods(warehouse) == [
        ("10-01", "10-10", 10, None, 31),
        ("11-20", "11-30", 11, None, 30),
        ("12-01", "12-31", 12, None, None),
    ]
    links = warehouse.rows(
        "SELECT previous_end IS NOT NULL AS goes_on, follows_end IS NOT NULL AS follows FROM billing.billing_periods"
        " ORDER BY period_start"
    )
    assert [(row["goes_on"], row["follows"]) for row in links] == [(False, False), (False, True), (True, False)]
    assert quarantined(warehouse) == {"11 calls": "after_contract"}


def test_a_change_of_contract_lays_drafts_anew(warehouse):
    add_customer(warehouse, "ann")
    for month in (OCTOBER, NOVEMBER):
        lay(warehouse, month)
    contracts.change_plan(warehouse, "ann", date(2025, 10, 10), "pro", ANN)
    lay(warehouse, OCTOBER)
    assert periods(warehouse)[:2] == [("10-01", "10-09", 10, None, 31), ("10-10", "10-31", 10, "pro", 31)]
    contracts.withdraw_change(warehouse, "ann", date(2025, 10, 10), ANN)
    contracts.end_contract(warehouse, "ann", date(2025, 10, 20), ANN)
    for month in (OCTOBER, NOVEMBER):
        lay(warehouse, month)
    assert periods(warehouse) == [("10-01", "10-20", 10, None, 31)]


def test_a_change_for_a_billed_period_is_drift_with_its_reason(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_usage(
        warehouse,
        [event_of_ann("a", "calls", 110, "2025-10-05"), event_of_ann("b", "calls", 110, "2025-10-25")],
    )
    bill(warehouse, OCTOBER)
    finalise_customer(warehouse, "ann", OCTOBER)
    contracts.end_contract(warehouse, "ann", date(2025, 10, 20), ANN)
    bill(warehouse, OCTOBER)
    billing_drift.build(warehouse, OCTOBER, "run")
    assert periods(warehouse) == [("10-01", "10-31", 10, None, None)], "what is billed stays"
    found = warehouse.rows(
        "SELECT meter, billed_minor, current_minor, reason FROM billing.billing_drift ORDER BY meter"
    )
    assert [tuple(row.values()) for row in found] == [
        ("calls", 315, 150, "contract_change"),
        ("fee", 1000, 645, "contract_change"),
    ]
    contracts.end_contract(warehouse, "ann", date(2025, 10, 31), ANN)
    billing_drift.build(warehouse, OCTOBER, "run")
    assert warehouse.scalar("SELECT count(*) FROM billing.billing_drift") == 0


@pytest.mark.parametrize(
    ("cycle", "anchor"),
    [
        ("calendar_month", None),
        ("calendar_month", date(2025, 10, 9)),
        ("monthly", date(2024, 1, 31)),
        ("5_months", date(2023, 11, 30)),
        ("30_days", date(2025, 1, 31)),
    ],
)
def test_postgres_and_python_agree_on_the_first_day_of_a_period(warehouse, cycle, anchor):
    rows = warehouse.rows(
        "SELECT d::date AS day, billing.cycle_start(:cycle, :anchor, d::date) AS start"
        " FROM generate_series(DATE '2025-02-01', DATE '2026-04-30', interval '3 days') AS d",
        cycle=cycle,
        anchor=anchor,
    )
    for row in rows:
        day = row["day"]
        found = periods_touching(day.replace(day=1), "UTC", parse_cycle(cycle, anchor))
        expected = [period.start_date for period in found if period.start_date <= day < period.end_date]
        assert [row["start"]] == (expected or [anchor]), day


def test_postgres_and_python_agree_on_shares(warehouse):
    for amount, days, full_days in [
        ("10", 5, 31),
        ("0.30", 1, 3),
        ("999999999999.999999999999", 29, 366),
        ("7", 7, 30),
    ]:
        of_postgres = warehouse.scalar(
            "SELECT billing.prorated(CAST(:amount AS numeric), :days, :full)", amount=amount, days=days, full=full_days
        )
        assert of_postgres == prorated(Decimal(amount), days, full_days)


def test_a_price_may_say_that_short_periods_cost_the_whole(warehouse):
    load_book(warehouse, WHOLE)
    add_customer(warehouse, "ann", starts_on=date(2025, 10, 20))
    bill(warehouse, OCTOBER)
    assert lines(warehouse) == [("10-20", "Fee", 1000)]


def test_terms_of_a_day_cannot_be_two_and_are_never_rewritten(warehouse):
    add_customer(warehouse, "ann", starts_on=date(2025, 10, 1))
    with pytest.raises(IntegrityError, match="contract_terms_one_a_day"):
        add_terms(warehouse, "ann", date(2025, 10, 1), plan="pro")
    for statement in ("UPDATE billing.contract_terms SET plan = 'pro'", "DELETE FROM billing.contract_terms"):
        with pytest.raises(IntegrityError, match="withdrawn"):
            execute(warehouse, statement)


WHOLE = """
name: test
currency: usd
meters: {fee: {aggregation: constant}}
versions:
  - id: "2025"
    effective_from: 2025-01-01
    prices: [{meter: fee, model: flat, amount: "10", prorate: none}]
"""
