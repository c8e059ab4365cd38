"""What a month sets aside: its worth at the last price, how much of it is allowed, and prices that a new book forgets."""

from typing import Any

import pytest

from billing_pipeline.gates.data_quality import GateResult, run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    event_of_ann,
    load_book,
)

BOOK = """
name: test
currency: usd
meters:
  fee: {aggregation: constant}
  calls: {aggregation: sum}
  tokens: {aggregation: sum, dimensions: [model]}
versions:
  - id: "1"
    effective_from: 2025-01-01
    prices:
      - {meter: fee, model: flat, amount: "10"}
      - {meter: calls, model: per_unit, unit_amount: "0.02"}
      - {meter: tokens, model: per_unit, rates: {small: "1", large: "3"}}
"""
NEXT = """
  - id: "2"
    effective_from: 2025-10-01
    prices:
      - {meter: fee, model: flat, amount: "10"}
      - {meter: tokens, model: per_unit, rates: {small: "1"}}
"""
RETIRED = NEXT + "    retired: [{meter: calls}, {meter: tokens, dimensions: {model: large}}]\n"


def _gates(warehouse: Warehouse, **parameters: int) -> dict[str, GateResult]:
    given = {"invoice_cap_minor": 10**9, "price_factor_max": 10, **parameters}
    results = run_gates(warehouse, gates_of("invoice_line_items"), OCTOBER, "run", given)
    return {result.gate.name: result for result in results}


def _failed(warehouse: Warehouse, **parameters: int) -> set[str]:
    """Names of the gates that fail, but for the one that compares revenue."""
    found = _gates(warehouse, **parameters).items()
    return {name for name, result in found if not result.passed} - {"revenue_within_bounds"}


@pytest.fixture
def used(warehouse: Warehouse) -> Warehouse:
    """September billed by the first version; October used, not billed."""
    load_book(warehouse, BOOK)
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
    for month in ("09", "10"):
        add_usage(
            warehouse,
            [
                event_of_ann(f"c{month}", "calls", 1000, f"2025-{month}-05"),
                event_of_ann(f"s{month}", "tokens", 4, f"2025-{month}-05", dimensions={"model": "small"}),
                event_of_ann(f"l{month}", "tokens", 5, f"2025-{month}-05", dimensions={"model": "large"}),
            ],
        )
    bill(warehouse, SEPTEMBER)
    return warehouse


def _worth(warehouse: Warehouse) -> dict[str, Any]:
    rows = warehouse.rows("SELECT meter, worth_minor FROM billing.usage_quarantine WHERE billing_month = :m", m=OCTOBER)
    return {row["meter"]: row["worth_minor"] for row in rows}


def test_a_version_that_forgets_a_meter_or_a_rate_stops_the_month_and_says_what_it_is_worth(used):
    load_book(used, BOOK + NEXT)
    bill(used, OCTOBER)
    assert _worth(used) == {"calls": 2000, "tokens": 1500}
    lost = _gates(used)["no_price_lost"]
    shown = [
        (r["meter"], r["dimensions"], r["version_id"], r["revenue_minor"], r["set_aside_minor"]) for r in lost.sample
    ]
    assert sorted(shown) == [
        ("calls", "{}", "2", "2000", "2000"),
        ("tokens", '{"model": "large"}', "2", "1500", "1500"),
    ]
    assert lost.gate.blocking


def test_a_lost_price_stops_the_month_even_if_nobody_used_it(used):
    load_book(
        used,
        BOOK
        + NEXT.replace('      - {meter: fee, model: flat, amount: "10"}\n', "").replace(
            'small: "1"', 'small: "1", large: "3"'
        ),
    )
    bill(used, OCTOBER)
    assert {row["meter"] for row in _gates(used)["no_price_lost"].sample} == {"calls", "fee"}


def test_what_the_book_retires_stops_nothing_and_is_set_aside_with_its_worth(used):
    load_book(used, BOOK + RETIRED)
    bill(used, OCTOBER)
    assert _worth(used) == {"calls": 2000, "tokens": 1500}
    assert _failed(used) == set()


def test_a_price_that_the_file_drops_without_a_new_version_stops_the_month_too(used):
    load_book(used, BOOK.replace('      - {meter: calls, model: per_unit, unit_amount: "0.02"}\n', ""))
    bill(used, OCTOBER)
    assert _worth(used) == {"calls": 2000}, "at the price that the file held last"
    assert _failed(used) == {"no_price_lost"}


def test_one_customer_stops_nobody_unless_an_allowance_is_set(used):
    add_usage(used, [Event("bad", "bob", "calls", -1, at("2025-10-05"))])
    bill(used, OCTOBER)
    assert _worth(used) == {"calls": None}
    assert _failed(used) == set()
    over = _gates(used, set_aside_customers_free=0, set_aside_customers_max_percent=49)["set_aside_within_allowance"]
    assert over.sample == [{"share_of": "customers", "currency": None, "set_aside": "1", "of_all": "2"}]
    assert _failed(used, set_aside_customers_free=0, set_aside_customers_max_percent=50) == set()


def test_the_share_of_revenue_is_that_of_what_is_set_aside_in_all_that_was_used(used):
    load_book(used, BOOK + RETIRED)
    bill(used, OCTOBER)
    billed = 2 * 1000 + 400
    percent = 100 * 3500 // (3500 + billed)
    strict = {"set_aside_customers_free": 0, "set_aside_customers_max_percent": 100}
    assert _failed(used, **strict, set_aside_revenue_max_percent=percent) == {"set_aside_within_allowance"}
    assert _failed(used, **strict, set_aside_revenue_max_percent=percent + 1) == set()


def test_rounding_that_moves_more_than_a_share_of_an_invoice_is_warned_of(used):
    events = [
        event_of_ann(f"t{i}", "tokens", "0.004", "2025-10-07", dimensions={"model": f"m{i}"}) for i in range(1000)
    ]
    any_model = BOOK.replace('rates: {small: "1", large: "3"}', 'unit_amount: "1"')
    load_book(used, any_model)
    add_usage(used, events)
    bill(used, OCTOBER)
    gate = _gates(used)["rounding_within_bounds"]
    assert (gate.passed, gate.gate.blocking) == (False, False)
    [row] = gate.sample
    assert (row["customer_id"], row["exact_minor"], row["amount_minor"]) == (
        "ann",
        1000 + 2000 + 900 + 400,
        1000 + 2000 + 900,
    )
    assert _gates(used, rounding_max_percent=10)["rounding_within_bounds"].passed
