"""Flat amounts of tiers, maximums, scopes and shared allowances: in drafts, gates, final invoices, explanations, drift."""

from datetime import UTC, datetime

from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.comparison.rules.month_diff import differences
from billing_pipeline.comparison.shadow import month_lines, shadow_month
from billing_pipeline.gates.data_quality import gate_parameters, run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.price_book import load_price_books
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.month_rows import (
    LONG_AFTER,
    OCTOBER,
    add_customer,
    add_usage,
    at,
    bill,
    checksums,
    complete_feed,
    event_of_ann,
    execute,
    load_book,
    pass_gates,
)

BOOK = """
name: terms
currency: usd
meters:
  traffic:  {aggregation: sum, dimensions: [region]}
  storage:  {aggregation: sum, dimensions: [region]}
  calls:    {aggregation: sum}
  messages: {aggregation: sum}
versions:
  - id: "2025"
    effective_from: 2025-01-01
    prices:
      - meter: traffic
        model: graduated
        scope: meter
        maximum: "100"
        tiers: [{up_to: "100", unit_amount: "1", flat_amount: "5"}, {up_to: null, unit_amount: "0.5"}]
      - {meter: storage, model: per_unit, unit_amount: "1", scope: combination, minimum: "10"}
      - {meter: calls, model: per_unit, unit_amount: "0.1", included: "100", pool: talk}
      - {meter: messages, model: per_unit, unit_amount: "0.2", included: "100", pool: talk}
"""
ANN = [
    ("traffic", "usage", {"region": "eu"}, 8_000),  # 80 of the first 100
    ("traffic", "usage", {"region": "us"}, 2_000),  # the other 20 of them
    ("traffic", "usage", {"region": "us"}, 2_000),  # 40 beyond
    ("traffic", "fee", {}, 500),
    ("traffic", "maximum", {}, -2_500),
    ("storage", "usage", {"region": "eu"}, 300),
    ("storage", "usage", {"region": "us"}, 1_200),
    ("storage", "minimum", {"region": "eu"}, 700),
    ("calls", "usage", {}, 0),  # 80 of the pool's 100
    ("messages", "usage", {}, 600),  # 50, of which 20 are left in the pool
]


def lines(warehouse: Warehouse) -> list[tuple[object, ...]]:
    rows = warehouse.rows(
        "SELECT meter, kind, dimensions, amount_minor FROM billing.invoice_line_items ORDER BY invoice_id, line_no"
    )
    return [tuple(row.values()) for row in rows]


def failed_gates(warehouse: Warehouse) -> list[str]:
    results = run_gates(warehouse, gates_of("invoice_line_items"), OCTOBER, "run", gate_parameters(load_settings()))
    return [result.gate.name for result in results if not result.passed]


def drift(warehouse: Warehouse) -> set[tuple[object, ...]]:
    billing_drift.build(warehouse, OCTOBER, "again")
    rows = warehouse.rows(
        "SELECT meter, kind, dimensions ->> 'region', difference_minor, reason FROM billing.billing_drift"
    )
    return {tuple(row.values()) for row in rows}


def test_terms_of_a_price_hold_in_drafts_gates_explanations_shadows_and_drift(warehouse: Warehouse) -> None:
    load_book(warehouse, BOOK)
    add_customer(warehouse, "ann")
    used = [("traffic", 80, "eu"), ("traffic", 60, "us"), ("storage", 3, "eu"), ("storage", 12, "us")]
    add_usage(
        warehouse,
        [
            event_of_ann(f"{meter}-{region}", meter, quantity, "2025-10-15", dimensions={"region": region})
            for meter, quantity, region in used
        ]
        + [event_of_ann(meter, meter, n, "2025-10-15") for meter, n in (("calls", 80), ("messages", 50))],
    )
    complete_feed(warehouse, at("2025-12-02"))
    bill(warehouse, OCTOBER)
    assert lines(warehouse) == ANN
    before = checksums(warehouse)
    bill(warehouse, OCTOBER)
    assert checksums(warehouse) == before

    assert failed_gates(warehouse) == []
    for wrong in (
        "unit_amount = 4, exact_amount = 4, amount_minor = 400 WHERE kind = 'fee'",
        "unit_amount = -24, exact_amount = -24, amount_minor = -2400 WHERE kind = 'maximum'",
        "unit_amount = 8, exact_amount = 8, amount_minor = 800 WHERE kind = 'minimum'",
    ):
        execute(warehouse, "ALTER TABLE billing.invoice_line_items DISABLE TRIGGER USER")
        execute(warehouse, f"UPDATE billing.invoice_line_items SET {wrong}")
        execute(warehouse, "ALTER TABLE billing.invoice_line_items ENABLE TRIGGER USER")
        assert "amount_is_quantity_times_price" in failed_gates(warehouse), wrong
        bill(warehouse, OCTOBER)
    assert lines(warehouse) == ANN

    pass_gates(warehouse, OCTOBER)
    finalise_month(warehouse, OCTOBER, "run")
    [explained] = explain_all(warehouse)
    assert explained.problems == []
    shadow = shadow_month(warehouse, OCTOBER, load_price_books(BOOK, "book.yaml"), LONG_AFTER)
    assert differences(month_lines(warehouse, OCTOBER), shadow.lines) == []
    assert drift(warehouse) == set()

    # a call moves what is left of the pool for messages; of traffic nothing is beyond the maximum that was not before
    now = datetime.now(UTC)
    add_usage(
        warehouse,
        [
            event_of_ann("late", "calls", 20, "2025-10-20", received_at=now),
            event_of_ann("late-2", "traffic", 20, "2025-10-20", dimensions={"region": "eu"}, received_at=now),
        ],
    )
    bill(warehouse, OCTOBER)
    assert drift(warehouse) == {
        ("messages", "usage", None, 400, "late_event"),
        ("traffic", "usage", "eu", 2_000, "late_event"),
        ("traffic", "usage", "us", -1_000, "late_event"),
        ("traffic", "maximum", None, -1_000, "late_event"),
    }
    load_book(warehouse, BOOK.replace('flat_amount: "5"', 'flat_amount: "6"').replace('minimum: "10"', 'minimum: "11"'))
    found = drift(warehouse)
    assert ("traffic", "fee", None, 100, "late_event+price_change") in found
    assert ("storage", "minimum", "eu", 100, "term_change") in found
