"""Usage that cannot be billed is set aside with its reason, never dropped, until the reason is mended."""

from datetime import date
from typing import Any

import pytest

from billing_pipeline.gates.data_quality import run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    ASSETS,
    BOOK,
    NOVEMBER,
    OCTOBER,
    SMALL,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    change_customer,
    event_of_ann,
    finalise_customer,
    load_book,
)

PARAMETERS = {"invoice_cap_minor": 10**9, "price_factor_max": 10}

QUARANTINED: list[tuple[str, Event, dict[str, Any], str]] = [
    ("unknown customer", event_of_ann("q", "calls", 7, "2025-10-05", customer_id="stranger"), {}, "unknown customer"),
    (
        "inactive customer",
        event_of_ann("q", "calls", 7, "2025-10-05"),
        {"status": "inactive"},
        "the customer is inactive",
    ),
    ("unknown meter", event_of_ann("q", "minutes", 7, "2025-10-05"), {}, "unknown meter"),
    (
        "missing dimension",
        event_of_ann("q", "clusters", 7, "2025-10-05", dimensions={"size": "small"}),
        {},
        "expected the dimensions [environment, size]",
    ),
    (
        "further dimension",
        event_of_ann("q", "calls", 7, "2025-10-05", dimensions=SMALL),
        {},
        "expected the dimensions []",
    ),
    (
        "before the first billed day",
        event_of_ann("q", "calls", 7, "2025-10-05"),
        {"cycle_anchor": date(2025, 10, 6)},
        "before_contract",
    ),
    ("no book", event_of_ann("q", "calls", 7, "2025-10-05"), {"currency": "eur"}, "no price book in eur"),
]


def _book_of(event: Event) -> str:
    """A book with the event's meter as the event spells it, and a fee."""
    dimensions = ", ".join(event.dimensions)
    return f"""
name: test
currency: usd
meters:
  fee: {{aggregation: constant}}
  {event.meter}: {{aggregation: sum, dimensions: [{dimensions}]}}
versions:
  - id: "2025"
    effective_from: 2025-01-01
    prices: [{{meter: fee, model: flat, amount: 10}}, {{meter: {event.meter}, model: per_unit, unit_amount: 1}}]
"""


@pytest.mark.parametrize(
    ("event", "change", "reason"), [case[1:] for case in QUARANTINED], ids=[c[0] for c in QUARANTINED]
)
def test_usage_that_cannot_be_billed_is_quarantined_with_its_reason_until_that_is_mended(billed, event, change, reason):
    add_usage(billed, [event])
    if change:
        change_customer(billed, "ann", **change)
    for _ in range(2):  # the second build finds its own rows
        bill(billed, OCTOBER)
        [row] = billed.rows("SELECT * FROM billing.usage_quarantine")
        assert (row["customer_id"], row["meter"], row["dimensions"]) == (
            event.customer_id,
            event.meter,
            event.dimensions,
        )
        assert (row["reason"], row["quantity"], row["event_count"], row["stage"]) == (reason, 7, 1, "usage_snapshots")
    assert billed.rows("SELECT meter FROM billing.usage_snapshots WHERE meter <> 'fee'") == []

    if event.customer_id == "stranger":
        add_customer(billed, "stranger")
    elif change:
        change_customer(billed, "ann", currency="usd", status="active", cycle_anchor=None)
    else:
        load_book(billed, _book_of(event))
    bill(billed, OCTOBER)
    assert billed.rows("SELECT reason FROM billing.usage_quarantine") == []
    [row] = billed.rows("SELECT quantity FROM billing.usage_snapshots WHERE meter = :meter", meter=event.meter)
    assert row["quantity"] == 7


@pytest.mark.parametrize(
    ("event", "book", "reason"),
    [
        (
            event_of_ann("q", "clusters", 7, "2025-10-05", dimensions={"size": "huge", "environment": "production"}),
            BOOK,
            "no price for meter clusters",
        ),
        (
            event_of_ann("q", "calls", 7, "2025-10-05"),
            BOOK.replace("2025-01-01", "2025-10-02"),
            "no price version in force",
        ),
    ],
    ids=["no price for a dimension value", "no version in force"],
)
def test_a_snapshot_without_a_price_is_quarantined_until_there_is_one(billed, event, book, reason):
    load_book(billed, book)
    add_usage(billed, [event])
    for run_id in ("first", "second"):
        bill(billed, OCTOBER, run_id=run_id)
        rows = billed.rows("SELECT * FROM billing.usage_quarantine WHERE meter <> 'fee'")
        assert [(row["reason"], row["quantity"], row["stage"]) for row in rows] == [(reason, 7, "invoice_line_items")]
        assert rows[0]["run_id"] == "first", "an unchanged row is not written again"
    load_book(billed, BOOK.replace("small:", "huge:"))
    bill(billed, OCTOBER)
    assert billed.rows("SELECT reason FROM billing.usage_quarantine") == []
    assert billed.scalar("SELECT count(*) FROM billing.invoice_line_items WHERE meter = :meter", meter=event.meter) == 1


def test_a_stranger_is_quarantined_in_the_utc_month_of_the_events(billed):
    add_usage(
        billed,
        [
            event_of_ann("a", "calls", 1, "2025-10-31T23:59:59", customer_id="stranger"),
            event_of_ann("b", "calls", 2, "2025-11-01", customer_id="stranger"),
        ],
    )
    bill(billed, OCTOBER)
    bill(billed, NOVEMBER)
    rows = billed.rows("SELECT billing_month, quantity FROM billing.usage_quarantine ORDER BY 1")
    assert [(row["billing_month"], row["quantity"]) for row in rows] == [(OCTOBER, 1), (NOVEMBER, 2)]


def test_a_level_from_before_the_first_billed_day_is_in_force_on_it(billed):
    change_customer(billed, "ann", cycle_anchor=date(2025, 10, 16))
    add_usage(billed, [event_of_ann("a", "clusters", 3, "2025-10-02", dimensions=SMALL)])
    bill(billed, OCTOBER)
    assert billed.scalar("SELECT quantity FROM billing.usage_snapshots WHERE meter = 'clusters'") == 3
    assert billed.rows("SELECT reason FROM billing.usage_quarantine") == []


HUGE = "600000000000000000"


def _billed(warehouse: Warehouse) -> dict[str, int]:
    rows = warehouse.rows(
        "SELECT customer_id, total_minor FROM billing.invoices WHERE billing_month = :m ORDER BY 1", m=OCTOBER
    )
    return {row["customer_id"]: row["total_minor"] for row in rows}


@pytest.mark.parametrize("meter", ["calls", "peak", "storage"])
@pytest.mark.parametrize(
    ("quantities", "reason"),
    [(["-1"], "negative quantity"), ([HUGE, HUGE], "a quantity larger than can be billed")],
    ids=["negative", "too large"],
)
def test_one_customers_impossible_usage_is_set_aside_and_all_else_is_billed(warehouse, meter, quantities, reason):
    if meter != "calls" and len(quantities) > 1:
        quantities = ["-600000000000000000"]  # a level has no sum
        reason = "negative quantity"
    load_book(warehouse)
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
    add_usage(
        warehouse, [Event("ok", "bob", "calls", 100, at("2025-10-05")), event_of_ann("k", "calls", 3, "2025-11-05")]
    )
    add_usage(warehouse, [event_of_ann(f"bad{i}", meter, q, "2025-10-01") for i, q in enumerate(quantities)])
    bill(warehouse, OCTOBER)
    aside = warehouse.rows("SELECT customer_id, meter, reason, event_count FROM billing.usage_quarantine")
    assert aside == [{"customer_id": "ann", "meter": meter, "reason": reason, "event_count": len(quantities)}]
    assert _billed(warehouse) == {"ann": 1000, "bob": 1000 + 135}, "ann's fee is billed, and everything of bob"
    failed = [
        result.gate.name
        for asset in ASSETS
        for result in run_gates(warehouse, gates_of(asset), OCTOBER, "run", PARAMETERS)
        if not result.passed and result.gate.blocking
    ]
    assert failed == ["feed_reaches_period_end"], "the test declared no feed"


def test_late_usage_that_cannot_be_measured_leaves_the_billed_period_as_it_is(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [event_of_ann("a", "calls", 100, "2025-10-05")])
    bill(warehouse, OCTOBER)
    finalise_customer(warehouse, "ann", OCTOBER)
    add_usage(warehouse, [event_of_ann("late", "calls", -500, "2025-10-06", received_at=at("2025-11-03"))])
    bill(warehouse, OCTOBER)
    assert warehouse.scalar("SELECT count(*) FROM billing.restated_snapshots") == 0
    [aside] = warehouse.rows("SELECT reason, quantity, event_count FROM billing.usage_quarantine")
    assert aside == {"reason": "negative quantity", "quantity": -400, "event_count": 2}
    add_usage(warehouse, [event_of_ann("b", "calls", 600, "2025-10-07", received_at=at("2025-11-04"))])
    bill(warehouse, OCTOBER)
    assert warehouse.rows("SELECT * FROM billing.usage_quarantine") == []
    assert warehouse.scalar("SELECT quantity FROM billing.restated_snapshots WHERE meter = 'calls'") == 200
