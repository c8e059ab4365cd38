"""A customer's periods form one chain: no overlap, no gap, one beginning."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from billing_pipeline_tests.postgres.invariants.rows import (
    MONTH,
    customer,
    draft,
    execute,
    insert,
    period,
    refused,
    settle,
    undone,
    value,
)


def day(month: int, of_month: int = 1) -> datetime:
    return datetime(2026, month, of_month, tzinfo=UTC)


@pytest.fixture
def october(db: Connection) -> Connection:
    """A customer whose only period is October."""
    customer(db)
    period(db, start=day(10), end=day(11))
    return db


def test_periods_follow_each_other(october: Connection):
    with undone(october):
        period(october, start=day(11), end=day(12), previous_end=day(11))


def test_a_customer_has_one_first_period(october: Connection):
    with refused(october, "one_first"):
        period(october, start=day(12), end=day(12, 31))


def test_a_hole_between_periods_is_refused(october: Connection):
    with refused(october, "foreign key"):
        period(october, start=day(12), end=day(12, 31), previous_end=day(12))


def test_a_period_does_not_claim_to_follow_what_it_does_not_touch(october: Connection):
    with refused(october, "previous_end|check"):
        period(october, start=day(12), end=day(12, 31), previous_end=day(11))


@pytest.mark.parametrize(
    ("start", "end", "previous_end"),
    [
        (day(10), day(10, 15), None),
        (day(10, 15), day(11, 15), day(10, 15)),
        (day(9), day(12), None),
        (day(9), day(11), None),
        (day(10), day(11), day(10)),
    ],
    ids=["same start", "from the middle on", "all round it", "same end", "the same again"],
)
def test_an_overlapping_period_is_refused(
    october: Connection, start: datetime, end: datetime, previous_end: datetime | None
):
    with refused(october, "unique|one_first|foreign key"):
        period(october, start=start, end=end, previous_end=previous_end)


def test_two_periods_do_not_follow_the_same_one(october: Connection):
    period(october, start=day(11), end=day(12), previous_end=day(11))
    with refused(october, "billing_periods_pkey|period_start_key"):
        period(october, start=day(11), end=day(11, 15), previous_end=day(11))


def test_an_earlier_month_is_laid_later_by_linking_the_first_to_it(october: Connection):
    execute(october, "UPDATE billing.billing_periods SET previous_end = period_start")
    period(october, start=day(9), end=day(10))
    settle(october)
    assert value(october, "SELECT count(*) FROM billing.billing_periods WHERE previous_end IS NULL") == 1


def test_a_link_to_an_earlier_month_that_is_not_laid_is_refused(october: Connection):
    with refused(october, "foreign key"):
        execute(october, "UPDATE billing.billing_periods SET previous_end = period_start")


def test_an_earlier_month_that_does_not_reach_the_first_is_refused(october: Connection):
    with refused(october, "foreign key"):
        execute(october, "UPDATE billing.billing_periods SET previous_end = period_start")
        period(october, start=day(9), end=day(9, 30))


def test_a_period_in_the_middle_is_not_taken_out(october: Connection):
    period(october, start=day(11), end=day(12), previous_end=day(11))
    with refused(october, "foreign key"):
        execute(october, "DELETE FROM billing.billing_periods WHERE period_start = :start", start=day(10))


def test_the_last_period_may_be_taken_away_while_nothing_refers_to_it(october: Connection):
    period(october, start=day(11), end=day(12), previous_end=day(11))
    with undone(october):
        execute(october, "DELETE FROM billing.billing_periods WHERE period_start = :start", start=day(11))


def test_a_period_that_was_used_stays(db: Connection):
    draft(db)
    with refused(db, "foreign key"):
        execute(db, "DELETE FROM billing.billing_periods")


def test_periods_of_different_customers_are_independent(october: Connection):
    customer(october, "c2")
    with undone(october):
        period(october, "c2", day(10, 15), day(11, 15))


@pytest.mark.parametrize(
    ("start", "end"),
    [(day(10), day(10)), (day(11), day(10)), (day(10), "infinity"), ("-infinity", day(11))],
)
def test_a_period_ends_after_it_starts_and_both_are_instants(db: Connection, start: object, end: object):
    customer(db)
    with refused(db, "billing_periods_check"):
        insert(
            db, "billing_periods", customer_id="c1", billing_month=MONTH, currency="usd", period_start=start,
            period_end=end, start_date=MONTH, end_date=MONTH, timezone="UTC",
        )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        "period_end = period_end + interval '1 day'",
        "period_start = period_start - interval '1 day'",
        "currency = 'eur'",
        "billing_month = '2026-11-01'",
        "timezone = 'Asia/Tokyo'",
        "start_date = '2026-10-02'",
        "customer_id = 'c2'",
    ],
)
def test_a_period_that_is_laid_out_is_not_edited(october: Connection, change: str):
    with refused(october, "laid out anew"):
        execute(october, f"UPDATE billing.billing_periods SET {change}")


def test_periods_are_not_truncated(october: Connection):
    settle(october)
    with refused(october, "periods are kept|foreign key"):
        execute(october, "TRUNCATE billing.billing_periods")
    with refused(october, "refused"):
        execute(october, "TRUNCATE billing.billing_periods CASCADE")


def test_a_period_of_a_customer_that_does_not_exist_is_refused(db: Connection):
    with refused(db, "foreign key"):
        period(db, "nobody")


def test_instants_of_one_start_have_one_id_whatever_the_sessions_time_zone(db: Connection):
    customer(db)
    with undone(db):
        here = period(db)
    execute(db, "SET LOCAL timezone = 'Asia/Kathmandu'")
    with undone(db):
        assert period(db) == here


def test_a_chain_of_a_year_holds(db: Connection):
    customer(db)
    at = day(1)
    period(db, start=at, end=at + timedelta(days=30))
    for _ in range(12):
        at += timedelta(days=30)
        period(db, start=at, end=at + timedelta(days=30), previous_end=at)
    settle(db)
    assert value(
        db, "SELECT max(period_end) - min(period_start) = sum(period_end - period_start) FROM billing.billing_periods"
    )
