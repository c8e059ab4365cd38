"""The running month: at a period's end what is accrued is the draft, and before it nothing is written."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.comparison.estimated import Estimate
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import adjust
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.databases import digests
from billing_pipeline_tests.month_rows import (
    BOOK,
    LONG_AFTER,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_terms,
    add_usage,
    at,
    bill,
    complete_feed,
    finalise_customer,
    load_book,
)

CUSTOMERS = ("ann", "bob", "cyd", "dan", "eve", "fay", "gus")
METERS: list[tuple[str, dict[str, str]]] = [
    ("calls", {}),
    ("peak", {}),
    ("storage", {}),
    ("clusters", {"size": "small", "environment": "production"}),
]
A_TICK = timedelta(microseconds=1)


TERMS = """
    commitments:
      - {name: base, amount: "260", meters: [peak, storage]}
      - {name: own, amount: "900", customer: bob}
    discounts:
      - {name: calls, percent: "10", meters: [calls], customer: ann}
      - {name: loyal, amount: "7.50"}
"""


def _platform(warehouse: Warehouse) -> None:
    """Zones, cycles, contracts that begin and end in mid-month, levels and sums, terms, charges and credits."""
    load_book(warehouse, BOOK.rstrip() + TERMS)
    add_customer(warehouse, "ann")
    add_customer(warehouse, "bob", timezone="Asia/Tokyo")
    add_customer(warehouse, "cyd", billing_cycle="10_days", cycle_anchor=date(2025, 9, 12))
    add_customer(warehouse, "dan", timezone="America/New_York", starts_on=date(2025, 10, 9))
    add_customer(warehouse, "eve", starts_on=date(2025, 9, 1))
    add_terms(warehouse, "eve", date(2025, 10, 21), "ended")
    add_customer(warehouse, "fay", starts_on=None, timezone="Europe/Berlin")
    add_customer(warehouse, "gus", billing_cycle="3_months", cycle_anchor=date(2025, 8, 15))
    add_usage(
        warehouse,
        [
            Event(f"{customer}-{meter}-{day}", customer, meter, 10 + number, at(f"2025-{day}"), dimensions)
            for customer in CUSTOMERS
            for number, (meter, dimensions) in enumerate(METERS)
            for day in ("09-15", "10-07", "10-16T09:00", "11-02")
        ],
    )
    complete_feed(warehouse, at("2026-01-01"))
    for customer, amount_minor in (("ann", 1_234), ("ann", -5_000), ("cyd", -9_000), ("bob", -999_999)):
        adjust(warehouse, customer, amount_minor, Signature("tester", f"agreed {amount_minor}"))


def _drafts(warehouse: Warehouse, month: date) -> dict[tuple[str, datetime], int]:
    rows = warehouse.rows(
        "SELECT customer_id, period_start, total_minor FROM billing.invoices JOIN billing.billing_periods"
        " USING (customer_id, period_id) WHERE invoices.billing_month = :month AND status = 'draft'",
        month=month,
    )
    return {(row["customer_id"], row["period_start"]): row["total_minor"] for row in rows}


def _accrued(found: list[Estimate]) -> dict[tuple[str, datetime], int]:
    return {(each.customer_id, each.period_start): each.accrued.total_minor for each in found}


def test_what_is_accrued_at_the_end_of_a_period_is_its_draft_to_the_cent_before_and_after_the_run(warehouse: Warehouse):
    _platform(warehouse)
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        before = digests(warehouse)
        ahead = estimate(warehouse, CUSTOMERS, now=LONG_AFTER, month=month)
        assert digests(warehouse) == before
        bill(warehouse, month)
        drafts = _drafts(warehouse, month)
        assert len(drafts) >= 5
        assert _accrued(ahead) == drafts
        assert all(each.ended and each.projected == each.accrued for each in ahead)
        assert _accrued(estimate(warehouse, CUSTOMERS, now=LONG_AFTER, month=month)) == drafts
        # a moment before the end is the same bill, found as the running period
        for (customer, start), total in drafts.items():
            end = warehouse.scalar(
                "SELECT period_end FROM billing.billing_periods WHERE customer_id = :customer AND period_start = :start",
                customer=customer,
                start=start,
            )
            [last] = estimate(warehouse, [customer], now=end - A_TICK)
            assert last.period_start == start
            assert last.accrued.total_minor == total
    assert warehouse.scalar("SELECT count(*) FROM pg_class WHERE relpersistence = 't'") == 0


def test_a_running_period_is_found_though_the_months_before_it_were_never_run(warehouse: Warehouse):
    _platform(warehouse)
    bill(warehouse, SEPTEMBER)
    found = estimate(warehouse, CUSTOMERS, now=at("2025-12-20"))
    assert {each.customer_id: (each.start_date, each.end_date) for each in found} == {
        "ann": (date(2025, 12, 1), date(2026, 1, 1)),
        "bob": (date(2025, 12, 1), date(2026, 1, 1)),
        "cyd": (date(2025, 12, 11), date(2025, 12, 21)),
        "dan": (date(2025, 12, 1), date(2026, 1, 1)),
        "fay": (date(2025, 12, 1), date(2026, 1, 1)),
        "gus": (date(2025, 11, 15), date(2026, 2, 15)),
    }
    assert {each.billing_month for each in found if each.customer_id == "gus"} == {date(2026, 2, 1)}


def test_a_running_month_accrues_and_is_projected(billed: Warehouse):
    add_usage(
        billed,
        [
            Event("first", "ann", "calls", 7, at("2025-09-01")),
            # 28 days before the 11th: 10 a day, but 20 a day in the last week
            *(
                Event(f"c{n}", "ann", "calls", 20 if n < 7 else 10, at("2025-11-10T12:00") - timedelta(days=n))
                for n in range(28)
            ),
            Event("s", "ann", "storage", 100, at("2025-11-06")),
            Event("k", "ann", "clusters", 2, at("2025-11-03"), {"size": "small", "environment": "production"}),
            Event("p", "ann", "peak", 4, at("2025-11-04")),
        ],
    )
    complete_feed(billed, at("2025-11-11"))
    before = digests(billed)
    [found] = estimate(billed, ["ann", "nobody"], now=at("2025-11-11"), by_day=True)
    assert digests(billed) == before
    assert (found.start_date, found.end_date, found.ended) == (date(2025, 11, 1), date(2025, 12, 1), False)
    accrued = {line.meter: (line.quantity, line.amount_minor) for line in found.accrued.lines if line.kind == "usage"}
    # had the contract ended on the 10th: a third of the fee; storage is a mean of ten days, of five of which it was there
    assert accrued == {
        "fee": (1, 333),
        "calls": (170, 240),  # 3 days at 10, 7 at 20, of which 10 are included
        "clusters": (2, 8000),
        "peak": (4, 1200),
        "storage": (50, 500),
    }
    assert found.accrued.total_minor == 333 + 240 + 8000 + 1200 + 500
    assert [(each.meters, each.included, each.used, each.left) for each in found.accrued.allowances] == [
        (["calls"], 10, 170, 0)
    ]
    projected = {
        line.meter: (line.quantity, line.amount_minor) for line in found.projected.lines if line.kind == "usage"
    }
    assert projected == {
        "fee": (1, 1000),
        "calls": (170 + 20 * 20, 840),
        "clusters": (2, 8000),
        "peak": (4, 1200),
        "storage": (Decimal("83.333333333333"), 833),
    }
    # the last 28 days: 350 calls, 12.5 a day
    assert found.high_minor == found.projected.total_minor == 1000 + 840 + 8000 + 1200 + 833
    assert found.low_minor == found.high_minor - 840 + 615
    assert [day.day.day for day in found.days] == list(range(1, 11))
    assert found.days[-1].accrued_minor == found.accrued.total_minor
    assert [day.accrued_minor for day in found.days] == sorted(day.accrued_minor for day in found.days)
    assert {each.meter: each.quantity for each in found.days[4].quantities} == {"calls": 20, "clusters": 2, "peak": 4}


def test_what_is_set_aside_is_said(billed: Warehouse):
    add_usage(
        billed,
        [
            Event("u", "ann", "coffee", 3, at("2025-11-02")),
            Event("d", "ann", "clusters", 3, at("2025-11-02"), {"size": "small"}),
            Event("x", "ann", "clusters", 3, at("2025-11-02"), {"size": "huge", "environment": "production"}),
            Event("n", "ann", "calls", -7, at("2025-11-02")),
        ],
    )
    [found] = estimate(billed, ["ann"], now=at("2025-11-11"))
    assert {(each.meter, each.quantity, each.reason) for each in found.set_aside} == {
        ("coffee", 3, "unknown meter"),
        ("clusters", 3, "expected the dimensions [environment, size]"),
        ("clusters", 3, "no price for meter clusters"),
        ("calls", -7, "negative quantity"),
    }


def test_an_estimate_counts_what_came_in_a_moment_ago_and_leaves_out_what_is_final(billed: Warehouse):
    add_usage(billed, [Event("a", "ann", "calls", 20, at("2025-10-02"))])
    complete_feed(billed, at("2026-01-01"))
    [first] = estimate(billed, ["ann"], now=at("2025-10-11"))
    add_usage(billed, [Event("b", "ann", "calls", 100, at("2025-10-03"), received_at=datetime.now(UTC))])
    [second] = estimate(billed, ["ann"], now=at("2025-10-11"))
    assert second.accrued.total_minor - first.accrued.total_minor == 150
    bill(billed, OCTOBER)
    finalise_customer(billed, "ann", OCTOBER)
    assert estimate(billed, ["ann"], now=LONG_AFTER, month=OCTOBER) == []
    with pytest.raises(UserError, match="2030-01 has not begun"):
        estimate(billed, ["ann"], now=LONG_AFTER, month=date(2030, 1, 1))


def test_an_estimate_of_one_customer_reads_the_events_of_no_other(warehouse: Warehouse) -> None:
    load_book(warehouse, BOOK)
    add_customer(warehouse, "ann")
    with warehouse.transaction() as connection:
        connection.execute(text(_A_CROWD))
    with warehouse.engine.connect() as connection:
        as_login(connection)
        connection.exec_driver_sql("ANALYZE billing.usage_events, billing.usage_series")
        connection.commit()
    before = _entries_read(warehouse)
    [found] = estimate(warehouse, ["ann"], month=NOVEMBER, now=at("2025-11-20"), by_day=True)
    assert {line.quantity for line in found.accrued.lines if line.meter == "calls"} == {Decimal(101)}
    # her 300, in each stretch of time that is measured; all of the others' would be 30,000 more
    read = _entries_read(warehouse) - before
    assert 0 < read < 300 * 20


def _entries_read(warehouse: Warehouse) -> int:
    with warehouse.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        connection.commit()
        return int(
            connection.exec_driver_sql(
                "SELECT sum(i.idx_tup_read) + max(t.seq_tup_read) FROM pg_stat_user_indexes AS i"
                " JOIN pg_stat_user_tables AS t USING (relid) WHERE t.relname = 'usage_events'"
            ).scalar_one()
        )


_A_CROWD = """
INSERT INTO billing.usage_events (event_id, customer_id, meter, quantity, occurred_at, received_at)
SELECT
    format('%s-%s', c, n),
    CASE WHEN c = 1 THEN 'ann' ELSE 'c' || c END,
    CASE WHEN n % 3 = 0 THEN 'peak' ELSE 'calls' END,
    1,
    timestamptz '2025-10-20Z' + n * interval '3 hours' + c * interval '1 minute',
    timestamptz '2025-10-20Z' + n * interval '3 hours' + c * interval '1 minute'
FROM generate_series(1, 100) AS c, generate_series(1, 300) AS n
ORDER BY n, c
"""
