"""A run that people start: of one job and month one at a time, and never stuck behind a process that died."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.books.started_runs import COMES_UP_WITHIN, StartedRun, alive, claim_run, end_run, read_run
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import add_customer, execute

OCTOBER = date(2026, 10, 1)
ANN = Signature("ann", "all usage has come")


def claim(warehouse: Warehouse) -> StartedRun:
    return claim_run(warehouse, OCTOBER, "bill_month", ANN)


def made_older(warehouse: Warehouse, run_id: str) -> None:
    """As if the run had been asked for long enough ago to have come up."""
    with warehouse.transaction() as connection:
        connection.execute(
            text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        )  # no trigger minds
        connection.execute(
            text("UPDATE billing.started_runs SET started_at = started_at - CAST(:ago AS interval) WHERE run_id = :id"),
            {"id": run_id, "ago": COMES_UP_WITHIN},
        )


def test_of_many_who_ask_at_once_one_starts_the_run(warehouse: Warehouse) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: claim(warehouse), range(8)))
    assert len({run.run_id for run in runs}) == 1
    assert [run.is_new for run in runs].count(True) == 1
    logged = warehouse.rows("SELECT actor, reason, run_id FROM billing.automation_log WHERE action = 'month.start_run'")
    assert logged == [{"actor": "ann", "reason": "all usage has come", "run_id": runs[0].run_id}]


def test_another_job_and_another_month_run_beside_it(warehouse: Warehouse) -> None:
    runs = [claim(warehouse), claim_run(warehouse, OCTOBER, "charge_month", ANN)]
    runs.append(claim_run(warehouse, date(2026, 9, 1), "bill_month", ANN))
    assert all(run.is_new for run in runs)


def test_a_run_that_ended_makes_room_for_the_next(warehouse: Warehouse) -> None:
    first = claim(warehouse)
    with pytest.raises(ZeroDivisionError), alive(warehouse, first.run_id):
        raise ZeroDivisionError
    second = claim(warehouse)
    assert (second.is_new, second.run_id == first.run_id) == (True, False)


def test_a_run_whose_process_never_came_up_is_given_up(warehouse: Warehouse) -> None:
    first = claim(warehouse)
    assert claim(warehouse).run_id == first.run_id
    made_older(warehouse, first.run_id)
    assert claim(warehouse).is_new


def test_a_run_that_lives_keeps_its_right_however_long_it_takes(warehouse: Warehouse) -> None:
    first = claim(warehouse)
    made_older(warehouse, first.run_id)
    with alive(warehouse, first.run_id):
        assert claim(warehouse).run_id == first.run_id
    assert claim(warehouse).is_new


def test_a_run_ends_once_and_stays_as_it_was_asked_for(warehouse: Warehouse) -> None:
    run = claim(warehouse)
    end_run(warehouse, run.run_id)
    end_run(warehouse, run.run_id)
    assert read_run(warehouse, run.run_id).author == "ann"
    for change in ("author = 'bob'", "ended_at = NULL"):
        with pytest.raises(DBAPIError, match="only ends, once"):
            execute(warehouse, f"UPDATE billing.started_runs SET {change}")


def test_a_customers_run_is_one_at_a_time_and_waits_for_one_of_the_month_to_end(warehouse: Warehouse) -> None:
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
    first, again, other = (claim_run(warehouse, OCTOBER, "bill_customer", ANN, one) for one in ("ann", "ann", "bob"))
    assert (again.run_id, again.is_new, other.is_new) == (first.run_id, False, True)
    month = claim(warehouse)
    assert month.is_new
    end_run(warehouse, first.run_id)
    with pytest.raises(UserError, match="a run of all its customers is under way, bill_month, started by ann"):
        claim_run(warehouse, OCTOBER, "bill_customer", ANN, "ann")
    end_run(warehouse, month.run_id)
    assert claim_run(warehouse, OCTOBER, "bill_customer", ANN, "ann").is_new
