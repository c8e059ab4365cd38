"""The same rules with two sessions at once: whoever comes second waits, then sees or fails; both never get through."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.postgres.invariants import rows
from billing_pipeline_tests.postgres.invariants.rows import MONTH
from billing_pipeline_tests.postgres.invariants.sessions import refusal, two_sessions

LEVELS = ["READ COMMITTED", "REPEATABLE READ"]
each_level = pytest.mark.parametrize("level", LEVELS)
SERIALISED = "could not serialize access"
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def assert_totals_add_up(warehouse: Warehouse) -> None:
    wrong = warehouse.rows(
        "SELECT i.invoice_id FROM billing.invoices AS i LEFT JOIN billing.invoice_line_items AS l USING (invoice_id)"
        " GROUP BY i.invoice_id HAVING i.total_minor <> coalesce(sum(l.amount_minor), 0)"
        " OR i.line_count <> count(l.line_no)"
    )
    assert wrong == []


@pytest.fixture
def lined(warehouse: Warehouse) -> tuple[UUID, UUID, UUID]:
    """A committed line of 10.00 whose invoice is not drafted yet: invoice, period and price ids."""
    with warehouse.transaction() as db:
        rows.customer(db)
        ids = (uuid4(), rows.period(db), rows.price(db))
        rows.line(db, *ids)
    return ids


@pytest.fixture
def ready(warehouse: Warehouse) -> UUID:
    """A committed draft that may be finalised."""
    with warehouse.transaction() as db:
        return rows.checked_draft(db)


def finalise(invoice_id: UUID, number: int = 1):
    def both(db: Connection) -> None:
        rows.finalise(db, invoice_id, number)
        rows.intent(db, invoice_id)

    return both


def add_line(ids: tuple[UUID, UUID, UUID]):
    return lambda db: rows.line(db, *ids, line_no=2)


def add_draft(ids: tuple[UUID, UUID, UUID]):
    return lambda db: rows.invoice(db, *ids[:2])


@each_level
@pytest.mark.parametrize("line_first", [True, False])
def test_a_line_and_the_draft_of_its_invoice_never_both_get_through(
    warehouse: Warehouse, lined: tuple[UUID, UUID, UUID], level: str, line_first: bool
):
    actions = (add_line(lined), add_draft(lined)) if line_first else (add_draft(lined), add_line(lined))
    with two_sessions(warehouse, level) as (first, second):
        first.do(actions[0])
        later = second.waits(actions[1])
        first.commit()
        own_words = "not the sum of its lines" if line_first else "lines of an existing invoice"
        assert re.search(own_words if level == "READ COMMITTED" else SERIALISED, refusal(later))
    assert_totals_add_up(warehouse)


@each_level
@pytest.mark.parametrize("line_first", [True, False])
def test_whoever_waited_gets_through_when_the_other_gives_up(
    warehouse: Warehouse, lined: tuple[UUID, UUID, UUID], level: str, line_first: bool
):
    actions = (add_line(lined), add_draft(lined)) if line_first else (add_draft(lined), add_line(lined))
    with two_sessions(warehouse, level) as (first, second):
        first.do(actions[0])
        later = second.waits(actions[1])
        first.rollback()
        later.result(20)
        second.commit()
    assert warehouse.scalar("SELECT count(*) FROM billing.invoices") == int(line_first)
    assert_totals_add_up(warehouse)


@pytest.mark.parametrize("line_first", [True, False])
def test_an_old_snapshot_does_not_let_a_line_and_its_draft_pass_each_other(
    warehouse: Warehouse, lined: tuple[UUID, UUID, UUID], line_first: bool
):
    actions = (add_line(lined), add_draft(lined)) if line_first else (add_draft(lined), add_line(lined))
    with two_sessions(warehouse, "REPEATABLE READ") as (first, second):
        first.do(actions[0])
        first.commit()
        assert re.search(SERIALISED, refusal(second.begin(actions[1])))
    assert_totals_add_up(warehouse)


def test_a_month_that_never_had_rows_is_guarded_as_well(warehouse: Warehouse):
    with warehouse.transaction() as db:
        rows.customer(db)
        ids = (uuid4(), rows.period(db), rows.price(db))
    with two_sessions(warehouse, "REPEATABLE READ") as (first, second):
        first.do(lambda db: rows.invoice(db, *ids[:2], total_minor=0, line_count=0))
        later = second.waits(lambda db: rows.line(db, *ids))
        first.commit()
        assert re.search(SERIALISED, refusal(later))
    assert_totals_add_up(warehouse)


@each_level
@pytest.mark.parametrize("what", ["line", "snapshot", "removal"])
def test_what_an_invoice_was_made_of_does_not_change_while_it_is_finalised(
    warehouse: Warehouse, ready: UUID, level: str, what: str
):
    with warehouse.transaction() as db:
        period_id, price_id = rows.period_of(db, ready), rows.price(db, meter="users")

    def change(db: Connection) -> None:
        if what == "line":
            rows.line(db, ready, period_id, price_id, line_no=2)
        elif what == "snapshot":
            rows.snapshot(db, period_id, meter="users")
        else:
            rows.execute(db, "DELETE FROM billing.usage_snapshots")

    with two_sessions(warehouse, level) as (first, second):
        first.do(finalise(ready))
        later = second.waits(change)
        first.commit()
        assert re.search(f"finalised invoice|lines of an existing invoice|{SERIALISED}", refusal(later))
    assert warehouse.scalar("SELECT status FROM billing.invoices") == "open"
    assert_totals_add_up(warehouse)


@each_level
def test_an_invoice_is_not_finalised_over_usage_that_changes_meanwhile(warehouse: Warehouse, ready: UUID, level: str):
    with warehouse.transaction() as db:
        period_id = rows.period_of(db, ready)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: rows.snapshot(db, period_id, meter="users"))
        later = second.waits(finalise(ready))
        first.commit()
        assert re.search(f"not checked for version 2|built from version 1|{SERIALISED}", refusal(later))
    assert warehouse.scalar("SELECT status FROM billing.invoices") == "draft"


@each_level
def test_a_gate_that_saw_the_rows_before_they_changed_does_not_pass_them(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        invoice_id = rows.draft(db)
        period_id = rows.period_of(db, invoice_id)
    with two_sessions(warehouse, level) as (changer, checker):
        changer.do(lambda db: rows.snapshot(db, period_id, meter="users"))
        checker.do(rows.pass_gates)
        later = checker.waits(finalise(invoice_id))
        changer.commit()
        assert re.search(f"not checked for version 2|built from version 1|{SERIALISED}", refusal(later))
    assert warehouse.scalar("SELECT status FROM billing.invoices") == "draft"


def test_a_gate_recorded_after_the_rows_changed_counts_for_the_older_rows_only(warehouse: Warehouse):
    with warehouse.transaction() as db:
        invoice_id = rows.draft(db)
        rows.built_from_each_other(db)
        seen = {asset: 1 for asset, _ in rows.required_gates(db)}
    with warehouse.transaction() as db:
        rows.snapshot(db, rows.period_of(db, invoice_id), meter="users")
        rows.built_from_each_other(db)
    with warehouse.transaction() as db:
        for asset, check_name in rows.required_gates(db):
            rows.gate(db, asset, check_name, version=seen[asset])
        with rows.refused(db, "not checked for version 2"):
            rows.finalise(db, invoice_id)


@each_level
def test_one_invoice_is_finalised_once_by_two_at_once(warehouse: Warehouse, ready: UUID, level: str):
    with two_sessions(warehouse, level) as (first, second):
        first.do(finalise(ready))
        later = second.waits(finalise(ready))
        first.commit()
        assert re.search(f"only the status moves|{SERIALISED}", refusal(later))
    assert warehouse.scalar("SELECT count(*) FROM billing.stripe_charges") == 1


@each_level
def test_two_invoices_do_not_get_one_number(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        ours, theirs = rows.draft(db, "c1"), rows.draft(db, "c2")
        rows.pass_gates(db)
    with two_sessions(warehouse, level) as (first, second):
        first.do(finalise(ours))
        later = second.waits(finalise(theirs))
        first.commit()
        assert re.search(f"invoice_number_key|{SERIALISED}", refusal(later))
    assert warehouse.scalar("SELECT count(*) FROM billing.invoices WHERE status = 'open'") == 1


def test_a_number_that_may_be_given_back_has_no_successor_yet(warehouse: Warehouse):
    september = date(2026, 9, 1)
    with warehouse.transaction() as db:
        ours, theirs = rows.draft(db, "c1"), rows.draft(db, "c2", september)
        rows.pass_gates(db)
        rows.pass_gates(db, september)
    with two_sessions(warehouse) as (first, second):
        first.do(finalise(ours, 1))
        assert re.search("foreign key", refusal(second.begin(finalise(theirs, 2))))


def test_two_runs_that_finalise_one_month_give_each_invoice_one_number_and_one_intent(warehouse: Warehouse):
    with warehouse.transaction() as db:
        for number in range(5):
            rows.draft(db, f"c{number}")
        rows.pass_gates(db)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda run: finalise_month(warehouse, MONTH, run), ["run-a", "run-b"]))
    assert sorted(result.count for result in results) == [0, 5]
    assert_numbered(warehouse, 5)


def test_two_months_finalised_at_once_share_one_row_of_numbers(warehouse: Warehouse):
    september = date(2026, 9, 1)
    with warehouse.transaction() as db:
        for number in range(4):
            rows.draft(db, f"c{number}")
            rows.draft(db, f"d{number}", september)
        rows.pass_gates(db)
        rows.pass_gates(db, september)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda month: finalise_month(warehouse, month, "run"), [MONTH, september]))
    assert [result.count for result in results] == [4, 4]
    assert_numbered(warehouse, 8)


def assert_numbered(warehouse: Warehouse, count: int) -> None:
    numbers = [
        row["invoice_number"] for row in warehouse.rows("SELECT invoice_number FROM billing.invoices ORDER BY 1")
    ]
    assert numbers == list(range(1, count + 1))
    assert (
        warehouse.scalar("SELECT count(*) FROM billing.stripe_charges JOIN billing.invoices USING (invoice_id)")
        == count
    )
    assert warehouse.scalar("SELECT last_number FROM billing.invoice_numbering") == count


@each_level
def test_a_period_is_drafted_once_by_two_at_once(warehouse: Warehouse, lined: tuple[UUID, UUID, UUID], level: str):
    with two_sessions(warehouse, level) as (first, second):
        first.do(add_draft(lined))
        later = second.waits(lambda db: rows.invoice(db, uuid4(), lined[1], total_minor=0, line_count=0))
        first.commit()
        assert re.search("invoices_one_live|revision_key", refusal(later))
