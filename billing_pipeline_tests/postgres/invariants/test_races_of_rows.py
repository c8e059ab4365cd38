"""Two sessions at once, away from the line of no return: periods, charges, corrections, series."""

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.postgres.invariants import rows
from billing_pipeline_tests.postgres.invariants.sessions import Session, refusal, two_sessions

LEVELS = ["READ COMMITTED", "REPEATABLE READ"]
each_level = pytest.mark.parametrize("level", LEVELS)
SERIALISED = "could not serialize access"
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@each_level
@pytest.mark.parametrize(
    ("start", "end"),
    [(rows.START, rows.END), (NOVEMBER, DECEMBER)],
    ids=["the same", "another first one"],
)
def test_two_sessions_that_lay_a_customers_first_period_do_not_both_get_through(
    warehouse: Warehouse, level: str, start: datetime, end: datetime
):
    with warehouse.transaction() as db:
        rows.customer(db)
    with two_sessions(warehouse, level) as (first, second):
        first.do(rows.period)
        later = second.waits(lambda db: rows.period(db, start=start, end=end))
        first.commit()
        assert re.search("billing_periods_pkey|period_start_key|period_end_key|one_first", refusal(later))
    assert warehouse.scalar("SELECT count(*) FROM billing.billing_periods") == 1


@each_level
def test_two_sessions_do_not_lay_two_successors(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        rows.customer(db)
        rows.period(db)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: rows.period(db, start=NOVEMBER, end=DECEMBER, previous_end=NOVEMBER))
        later = second.waits(
            lambda db: rows.period(db, start=NOVEMBER, end=datetime(2026, 11, 15, tzinfo=UTC), previous_end=NOVEMBER)
        )
        first.commit()
        assert re.search("billing_periods_pkey|period_start_key", refusal(later))


@each_level
def test_a_period_is_not_taken_away_under_its_successor(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        rows.customer(db)
        rows.period(db)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: rows.execute(db, "DELETE FROM billing.billing_periods"))
        second.do(lambda db: rows.period(db, start=NOVEMBER, end=DECEMBER, previous_end=NOVEMBER))
        later = second.waits(lambda db: db.commit())
        first.commit()
        assert re.search(f"foreign key|{SERIALISED}", refusal(later))
    assert warehouse.scalar("SELECT count(*) FROM billing.billing_periods") == 0


@each_level
def test_two_workers_do_not_store_two_invoices_at_stripe_for_one_charge(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        invoice_id = rows.charged(db)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: rows.move(db, invoice_id, "drafted", stripe_invoice_id="in_1"))
        later = second.waits(lambda db: rows.move(db, invoice_id, "drafted", stripe_invoice_id="in_2"))
        first.commit()
        assert re.search(f"ids at Stripe are set once|{SERIALISED}", refusal(later))
    assert warehouse.scalar("SELECT stripe_invoice_id FROM billing.stripe_charges") == "in_1"


@each_level
def test_an_invoice_is_not_voided_by_hand_while_its_charge_is_being_paid(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        invoice_id = rows.charged(db)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: rows.move(db, invoice_id, "paid"))
        later = second.waits(lambda db: rows.execute(db, "UPDATE billing.invoices SET status = 'void'"))
        first.commit()
        assert re.search(f"status does not go from paid to void|{SERIALISED}", refusal(later))
    assert warehouse.scalar("SELECT status FROM billing.invoices") == "paid"


def test_two_people_do_not_make_two_events_correct_each_other(warehouse: Warehouse):
    def correct(db: Connection, event_id: str, corrects: str) -> None:
        rows.insert(
            db, "usage_corrections", event_id=event_id, corrects_event_id=corrects, author="ann", reason="wrong"
        )

    with warehouse.transaction() as db:
        rows.event(db, "e1")
        rows.event(db, "e2")
    with two_sessions(warehouse) as (first, second):
        first.do(lambda db: correct(db, "e2", "e1"))
        later = second.waits(lambda db: correct(db, "e1", "e2"))
        first.commit()
        assert re.search("corrects no other", refusal(later))


@each_level
def test_two_imports_that_bring_one_series_leave_it_at_its_earliest_event(warehouse: Warehouse, level: str):
    earlier = datetime(2026, 1, 1, tzinfo=UTC)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: rows.event(db, "e1"))
        later = second.waits(lambda db: rows.event(db, "e2", occurred_at=earlier))
        first.commit()
        if level == "READ COMMITTED":
            later.result(20)
            second.commit()
        else:
            assert re.search(SERIALISED, refusal(later))
    expected = earlier if level == "READ COMMITTED" else rows.START
    assert warehouse.scalar("SELECT first_occurred_at FROM billing.usage_series") == expected


def test_a_waiting_session_is_told_from_one_that_got_through(warehouse: Warehouse):
    """The tests above rest on this: `waits` does not take a statement that ended for one that waits."""
    session = Session(warehouse)
    with pytest.raises(AssertionError, match="did not wait"):
        session.waits(rows.customer)
    session.close()
