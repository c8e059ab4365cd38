"""Runs that people start from the console or the API: of one job, month and customer one at a time, however often."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from uuid import uuid4

from sqlalchemy import text

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.locks import started_run_lock_key
from billing_pipeline.postgres.session_lock import session_lock
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

Job = Literal["snapshot_month", "bill_month", "bill_customer", "charge_month", "whole_month"]
"""snapshot_month: bill_month up to what was used; bill_customer: the drafts of one customer; whole_month: bill_month,
and charge_month if that passed."""
COMES_UP_WITHIN = timedelta(minutes=5)
"""A process that has not come up so long after it was asked for never will."""


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that somebody asked for. `is_new`: by this very call; otherwise it was running already.

    `customer_id`: whose drafts `bill_customer` builds; None: the run is of the whole month.
    """

    run_id: str
    billing_month: date
    job: Job
    author: str
    started_at: datetime
    ended_at: datetime | None = None
    is_new: bool = False
    customer_id: str | None = None


def claim_run(
    warehouse: Warehouse, month: date, job: Job, signature: Signature, customer: str | None = None
) -> StartedRun:
    """The right to run the job for the month, or for one customer of it, under a new run id, or the run that has it.

    A run whose process died without a word loses it after COMES_UP_WITHIN.

    Raises:
        UserError: a customer is named, and a run of the whole month is under way.
    """
    if customer is not None:
        _refuse_beside_the_month(warehouse, month)
    run_id = str(uuid4())
    values = {
        "run_id": run_id,
        "month": month,
        "job": job,
        "author": signature.author,
        "reason": signature.reason,
        "customer": customer,
    }
    while True:
        with warehouse.transaction() as connection:
            is_new = connection.execute(text(load_sql("books/start_run.sql")), values).rowcount == 1
        rows = warehouse.rows(f"{_RUNS} WHERE {_RUNS_BESIDE}", **values)
        if not rows:
            continue  # the one that had it ended just now
        running = StartedRun(**rows[0], is_new=is_new)
        if is_new or not _is_dead(warehouse, running):
            return running
        end_run(warehouse, running.run_id)


def read_run(warehouse: Warehouse, run_id: str) -> StartedRun:
    """The run that was claimed under this id.

    Raises:
        NotFound: there is none.
    """
    rows = warehouse.rows(f"{_RUNS} WHERE run_id::text = :run_id", run_id=run_id)
    if not rows:
        raise NotFound(f'run "{run_id}": expected the id of a run that was started here, found none')
    return StartedRun(**rows[0])


def runs_under_way(warehouse: Warehouse, month: date) -> list[StartedRun]:
    """The month's runs that were started here and have not ended."""
    rows = warehouse.rows(f"{_RUNS} WHERE billing_month = :month AND ended_at IS NULL ORDER BY started_at", month=month)
    return [StartedRun(**row) for row in rows]


@contextmanager
def alive(warehouse: Warehouse, run_id: str) -> Iterator[None]:
    """Of the run's process: it lives until the end of the block, and then the run has ended, however it did."""
    with (
        warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        session_lock(connection, started_run_lock_key(run_id)),
    ):
        try:
            yield
        finally:
            end_run(warehouse, run_id)


def end_run(warehouse: Warehouse, run_id: str) -> None:
    """The run's process is gone; said twice, it ends once."""
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "UPDATE billing.started_runs SET ended_at = clock_timestamp()"
                " WHERE run_id = CAST(:run_id AS uuid) AND ended_at IS NULL"
            ),
            {"run_id": run_id},
        )


def _refuse_beside_the_month(warehouse: Warehouse, month: date) -> None:
    """One that begins meanwhile does no harm: it waits for the customer's, whose rows come all at once, and goes on."""
    for run in runs_under_way(warehouse, month):
        if run.customer_id is None and not _is_dead(warehouse, run):
            raise UserError(
                f"month {month:%Y-%m}: a run of all its customers is under way, {run.job}, started by {run.author}: ask"
                " again when it has ended"
            )


def _is_dead(warehouse: Warehouse, run: StartedRun) -> bool:
    """Whether its process had the time to come up, and nothing lives under its id."""
    if datetime.now(UTC) - run.started_at < COMES_UP_WITHIN:
        return False
    with (
        warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        session_lock(connection, started_run_lock_key(run.run_id)) as is_free,
    ):
        return is_free


_RUNS = """
SELECT run_id::text AS run_id, billing_month, job, author, started_at, ended_at, customer_id FROM billing.started_runs
"""
_RUNS_BESIDE = """
billing_month = :month AND job = :job AND customer_id IS NOT DISTINCT FROM CAST(:customer AS text) AND ended_at IS NULL
"""
