"""Many random usage histories, measured by the database in one pass and by plain Python one by one."""

import json
import random
from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from billing_pipeline.customers.rules.billing_cycle import parse_cycle
from billing_pipeline.invoicing.rules.periods import periods_billed_in
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage import usage_snapshots
from billing_pipeline_tests.month_rows import (
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    lay,
    load_book,
)
from billing_pipeline_tests.usage.snapshot_oracle import Measured, counting, measure

BOOK = """
name: oracle
currency: usd
meters:
  s: {aggregation: sum, dimensions: [region]}
  c: {aggregation: count, dimensions: [region]}
  l: {aggregation: last, dimensions: [region]}
  m: {aggregation: max, dimensions: [region]}
  t: {aggregation: time_weighted, dimensions: [region]}
  u: {aggregation: unique, property: user, dimensions: [region]}
  dl: {aggregation: last, events: deltas, dimensions: [region]}
  dm: {aggregation: max, events: deltas, dimensions: [region]}
  dt: {aggregation: time_weighted, events: deltas, dimensions: [region]}
versions:
  - {id: "1", effective_from: 2020-01-01, prices: [{meter: s, model: per_unit, unit_amount: 1}]}
"""
AGGREGATIONS = {"s": "sum", "c": "count", "l": "last", "m": "max", "t": "time_weighted", "u": "unique"}
AGGREGATIONS |= {"dl": "last of deltas", "dm": "max of deltas", "dt": "time_weighted of deltas"}
KINDS = [
    ("UTC", "calendar_month", None),
    ("America/New_York", "calendar_month", None),
    ("Asia/Kolkata", "calendar_month", date(2025, 9, 17)),
    ("Pacific/Kiritimati", "30_days", date(2025, 7, 31)),
    ("America/Santiago", "10_days", date(2025, 9, 3)),
]
MONTHS = [OCTOBER, SEPTEMBER, NOVEMBER]
QUANTITIES = [
    "0",
    "0",
    "1",
    "2",
    "2.5",
    "7",
    "0.000000000001",
    "1234567890.123456789012",
    "99999999999",
    "3.333333333333",
]
AS_OF = at("2025-10-20")
LATER = at("2026-06-01")


class _Histories:
    """Seeded random events of one customer; instants crowd around the bounds of its periods."""

    def __init__(self, seed: int, customer_id: str, kind: tuple[str, str, date | None]) -> None:
        self.random = random.Random(f"{seed} {customer_id}")
        self.customer_id = customer_id
        timezone, cycle, anchor = kind
        periods = [p for m in MONTHS for p in periods_billed_in(m, timezone, parse_cycle(cycle, anchor))]
        self.bounds = sorted({p.start for p in periods} | {p.end for p in periods})
        self.events: list[Event] = []

    def instant(self) -> datetime:
        bound = self.random.choice(self.bounds)
        tick = timedelta(microseconds=1)
        near = [timedelta(0), timedelta(0), tick, -tick, timedelta(days=5), timedelta(days=-40)]
        return bound + self.random.choice([*near, timedelta(seconds=self.random.randrange(86400 * 9))])

    def add_series(self, meter: str, region: str) -> None:
        instants = [self.instant() for _ in range(self.random.choice([1, 3]))]
        for _ in range(self.random.randrange(7)):
            self._add(meter, region, self.random.choice([*instants, self.instant()]), None)
        own = [event for event in self.events if (event.meter, event.dimensions["region"]) == (meter, region)]
        for event in own:
            corrected = event
            while self.random.random() < 0.25:  # a correction, a correction of the correction, …
                when = corrected.occurred_at if self.random.random() < 0.7 else self.instant()
                corrected = self._add(meter, region, when, corrected.event_id)
                if self.random.random() < 0.2:
                    self.events[-1] = replace(corrected, removes=True, quantity=0)
                    break

    def _add(self, meter: str, region: str, occurred_at: datetime, corrects: str | None) -> Event:
        sign = "-" if self.random.random() < 0.1 else ""
        event = Event(
            f"{self.customer_id}-{self.random.randrange(10**9):09}-{len(self.events)}",
            self.customer_id,
            meter,
            sign + self.random.choice(QUANTITIES),
            occurred_at,
            {"region": region},
            self.random.choice(
                [occurred_at, AS_OF, AS_OF + timedelta(microseconds=1), at("2025-12-01"), at("2025-10-01")]
            ),
            corrects,
            adds=corrects is None and self.random.random() < 0.05,
            properties=self.random.choice([None, {"user": "a"}, {"user": "b"}, {"user": "", "more": "a"}]),
        )
        self.events.append(event)
        return event


@pytest.mark.parametrize("seed", [1, 20250901])
def test_every_aggregation_equals_its_definition_for_any_history(warehouse: Warehouse, seed: int):
    known_before = seed == 1  # or the levels of what came before are added up when the book is loaded
    load_book(warehouse, BOOK if known_before else BOOK.replace(", events: deltas", ""))
    events: list[Event] = []
    for number in range(60):
        kind = KINDS[number % len(KINDS)]
        history = _Histories(seed, f"{number:04}", kind)
        add_customer(warehouse, history.customer_id, timezone=kind[0], billing_cycle=kind[1], cycle_anchor=kind[2])
        for meter in AGGREGATIONS:
            for region in ("eu", "us"):
                history.add_series(meter, region)
        events += history.events
    add_usage(warehouse, events)
    load_book(warehouse, BOOK)
    for month in MONTHS:
        lay(warehouse, month)
    for as_of in (AS_OF, LATER, AS_OF):
        for month in MONTHS:
            usage_snapshots.build(warehouse, month, "run", as_of=as_of)
        expected = _expected(warehouse, events, as_of)
        assert _snapshots(warehouse) == {key: found for key, found in expected.items() if found.quantity >= 0}
        assert _negative(warehouse) == {
            key: (found.quantity, found.event_count) for key, found in expected.items() if found.quantity < 0
        }


def _snapshots(warehouse: Warehouse) -> dict[tuple[str, datetime, str, str], Measured]:
    query = "SELECT s.*, period_start FROM billing.usage_snapshots AS s JOIN billing.billing_periods USING (period_id)"
    return {
        (row["customer_id"], row["period_start"], row["meter"], json.dumps(row["dimensions"])): Measured(
            row["quantity"], row["event_count"], row["basis"]
        )
        for row in warehouse.rows(query)
    }


def _negative(warehouse: Warehouse) -> dict[tuple[str, datetime, str, str], tuple[Decimal, int]]:
    query = (
        "SELECT q.*, period_start FROM billing.usage_quarantine AS q JOIN billing.billing_periods USING (period_id)"
        " WHERE reason = 'negative quantity'"
    )
    return {
        (row["customer_id"], row["period_start"], row["meter"], json.dumps(row["dimensions"])): (
            row["quantity"],
            row["event_count"],
        )
        for row in warehouse.rows(query)
    }


def _expected(
    warehouse: Warehouse, events: list[Event], as_of: datetime
) -> dict[tuple[str, datetime, str, str], Measured]:
    series: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
    for event in events:
        series[event.customer_id, event.meter, json.dumps(dict(event.dimensions))].append(event)
    periods = warehouse.rows("SELECT customer_id, period_start, period_end FROM billing.billing_periods")
    expected = {}
    for (customer_id, meter, dimensions), own in series.items():
        counted = counting(own, as_of)
        for period in (period for period in periods if period["customer_id"] == customer_id):
            found = measure(counted, AGGREGATIONS[meter], period["period_start"], period["period_end"])
            if found is not None:
                expected[customer_id, period["period_start"], meter, dimensions] = found
    assert len(expected) > 500
    assert {found.basis for found in expected.values()} == {"measured", "corrected"}
    assert any(found.quantity == Decimal(0) for found in expected.values())
    return expected
