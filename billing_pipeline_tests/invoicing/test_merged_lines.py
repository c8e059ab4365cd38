"""`lines: merged`: what an invoice has of a meter at one unit price is one line, rounded once."""

from typing import Any

import pytest

from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.gates.failing_rows import FailingRow, sample_of
from billing_pipeline.gates.rules.gates import GATES
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage import usage_snapshots
from billing_pipeline_tests.month_rows import (
    OCTOBER,
    SEPTEMBER,
    add_customer,
    add_usage,
    bill,
    event_of_ann,
    execute,
    load_book,
    pass_gates,
)

BOOK = """
name: test
currency: usd
meters:
  calls: {aggregation: sum, dimensions: [key]}
versions:
  - id: "2025"
    effective_from: 2025-01-01
    prices:
      - {meter: calls, model: per_unit, PRICE}
"""
MERGED = BOOK.replace("PRICE", 'unit_amount: "0.004", lines: merged')
EACH = BOOK.replace("PRICE", 'unit_amount: "0.004"')
RATES = BOOK.replace("PRICE", 'rates: {k0: "0.004", k1: "0.004", k2: "0.3"}, lines: merged')
LINES = "SELECT meter, dimensions, description, usage_quantity, amount_minor FROM billing.invoice_line_items ORDER BY line_no"


@pytest.fixture
def ann(warehouse: Warehouse) -> Warehouse:
    add_customer(warehouse, "ann")
    return warehouse


def called(warehouse: Warehouse, *keys: str, quantity: int = 1, day: str = "2025-10-10", **more: Any) -> None:
    add_usage(
        warehouse,
        [event_of_ann(f"{key} {day}", "calls", quantity, day, dimensions={"key": key}, **more) for key in keys],
    )


def lines(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in warehouse.rows(LINES)]


def failing(warehouse: Warehouse, name: str) -> list[FailingRow]:
    gate = next(gate for gate in GATES if gate.name == name)
    batch = f"SELECT * FROM billing.{gate.asset} WHERE billing_month = '{OCTOBER}'"
    settings = {"month": OCTOBER, "last_month": SEPTEMBER, "rounding_max_percent": 5}
    return sample_of(warehouse, gate, batch, settings)


GATES_OF_LINES = (
    "amount_is_quantity_times_price", "every_snapshot_priced_or_quarantined", "no_price_lost", "rounding_within_bounds",
)  # fmt: skip


def test_a_thousand_lines_below_a_step_bill_what_they_come_to_together(ann: Warehouse):
    load_book(ann, MERGED)
    called(ann, *(f"k{n}" for n in range(1000)))
    bill(ann, OCTOBER)
    assert lines(ann) == [("calls", {}, "Calls", 1000, 400)]
    assert {gate: failing(ann, gate) for gate in GATES_OF_LINES} == {gate: [] for gate in GATES_OF_LINES}
    pass_gates(ann, OCTOBER)
    finalise_month(ann, OCTOBER, "charged")
    assert [explained.problems for explained in explain_all(ann)] == [[]]
    billing_drift.build(ann, OCTOBER, "again")
    assert ann.rows("SELECT * FROM billing.billing_drift") == []


def test_rates_that_cost_the_same_are_one_line_whose_price_rows_are_all_found_again(ann: Warehouse):
    load_book(ann, RATES)
    called(ann, "k0", "k1", "k2")
    bill(ann, OCTOBER)
    assert [(quantity, amount) for *_, quantity, amount in lines(ann)] == [(2, 1), (1, 30)]
    assert {gate: failing(ann, gate) for gate in GATES_OF_LINES} == {gate: [] for gate in GATES_OF_LINES}
    pass_gates(ann, OCTOBER)
    finalise_month(ann, OCTOBER, "charged")
    assert [explained.problems for explained in explain_all(ann)] == [[]]
    # the file is mended within the version: what was billed is still explained by the rows of then
    load_book(ann, RATES.replace('k1: "0.004"', 'k1: "0.5"'))
    assert [explained.problems for explained in explain_all(ann)] == [[]]


def test_a_rate_that_was_mended_is_not_taken_for_what_a_merged_line_stands_for(ann: Warehouse):
    load_book(ann, RATES)
    load_book(ann, RATES.replace('k1: "0.004"', 'k1: "0.5"'))
    called(ann, "k0", "k1")
    bill(ann, OCTOBER)
    assert sorted(amount for *_, amount in lines(ann)) == [0, 50]
    pass_gates(ann, OCTOBER)
    finalise_month(ann, OCTOBER, "charged")
    assert [explained.problems for explained in explain_all(ann)] == [[]]


def test_what_is_set_aside_beside_a_merged_line_is_not_covered_by_it(ann: Warehouse):
    load_book(ann, RATES)
    called(ann, "k0", "k1", "k7")
    bill(ann, OCTOBER)
    assert [quantity for *_, quantity, _ in lines(ann)] == [2]
    assert failing(ann, "every_snapshot_priced_or_quarantined") == []
    execute(ann, "DELETE FROM billing.usage_quarantine")
    [row] = failing(ann, "every_snapshot_priced_or_quarantined")
    assert (row["measured"], row["covered"]) == ("3", "2")


def test_the_gate_sees_lines_that_are_not_merged(ann: Warehouse):
    load_book(ann, MERGED)
    called(ann, "k0", "k1")
    bill(ann, OCTOBER)
    columns = (
        "period_id, customer_id, billing_month, meter, kind, description, included_quantity, unit_amount, currency,"
        " price_id, price_version, basis, run_id"
    )
    execute(
        ann,
        "WITH gone AS (DELETE FROM billing.invoices), old AS (DELETE FROM billing.invoice_line_items RETURNING *)"
        f" INSERT INTO billing.invoice_line_items (invoice_id, line_no, dimensions, usage_quantity, quantity, exact_amount,"
        f" amount_minor, {columns}) SELECT md5('x')::uuid, n, '{{}}', 1, 1, 0.004, 0, {columns}"
        " FROM old, generate_series(1, 2) AS g (n)",
    )
    [row] = failing(ann, "amount_is_quantity_times_price")
    assert (row["meter"], row["quantity"]) == ("calls", "2")


def test_drift_of_a_merged_line_names_what_came_late_and_what_was_corrected(ann: Warehouse):
    load_book(ann, RATES)
    called(ann, "k1", quantity=1000)
    bill(ann, OCTOBER)
    pass_gates(ann, OCTOBER)
    finalise_month(ann, OCTOBER, "charged")
    called(ann, "k0", quantity=500, day="2025-10-11", received_at=ann.scalar("SELECT clock_timestamp()"))
    usage_snapshots.build(ann, OCTOBER, "again")
    billing_drift.build(ann, OCTOBER, "again")
    assert drift(ann) == [({}, 400, 600, "late_event")]


def test_merging_the_lines_of_what_is_billed_is_a_change_of_terms(ann: Warehouse):
    load_book(ann, EACH)
    called(ann, "k0", "k1", quantity=1)
    called(ann, "k2", quantity=3)
    bill(ann, OCTOBER)
    assert [amount for *_, amount in lines(ann)] == [0, 0, 1]
    load_book(ann, MERGED)
    assert ann.rows("SELECT reason FROM billing.outdated_drafts('2025-10-01')") == [{"reason": "price_change"}]
    load_book(ann, EACH)
    pass_gates(ann, OCTOBER)
    finalise_month(ann, OCTOBER, "charged")
    load_book(ann, MERGED)
    billing_drift.build(ann, OCTOBER, "again")
    assert drift(ann) == [({}, 0, 2, "term_change"), ({"key": "k2"}, 1, 0, "term_change")]


def drift(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    found = "SELECT dimensions, billed_minor, current_minor, reason FROM billing.billing_drift ORDER BY dimensions"
    return [tuple(row.values()) for row in warehouse.rows(found)]
