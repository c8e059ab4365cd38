"""The databases that are measured: made, billed and settled up to the month, and cleared of it again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import click
from sqlalchemy import text

from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.bench import data
from billing_pipeline.sandbox.bench.steps import PRICED, Subject, connect, in_child, steps


@contextmanager
def drafted(url: str, customer_count: int) -> Iterator[Subject]:
    """A database with this many customers, whose month is drafted and has passed its gates."""
    with subject_of(url, customer_count, 0) as subject:
        for step in ("billing_periods", *PRICED, *(f"{asset}_gates" for asset in PRICED)):
            in_child(step, subject)
        yield subject


@contextmanager
def subject_of(url: str, customer_count: int, history_months: int) -> Iterator[Subject]:
    """A database with this many customers, months of billed and settled history, and one more month of usage."""
    warehouse = connect(url)
    migrate(warehouse, roles=True)
    data.generate(warehouse, customer_count)
    say(f"{customer_count:,} customers: {history_months} months of history")
    run = steps()
    for number in range(history_months + 1):
        month = data.month_after_history(number)
        data.generate_usage(warehouse, customer_count, month)
        if number < history_months:
            for asset in ("billing_periods", *PRICED):
                run[asset](warehouse, month)
            _settle(warehouse, month)
    _settle_down_in(warehouse)
    yield Subject(url, warehouse, month)
    warehouse.engine.dispose()


def _settle(warehouse: Warehouse, month: date) -> None:
    """Make the month's drafts paid invoices, as past months are. Triggers are off: nothing was charged."""
    with warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(_SETTLE), {"month": month})


_SETTLE = """
UPDATE billing.invoices AS i
SET status = 'paid', finalised_at = clock_timestamp(), invoice_number = n.base + n.nth,
    finalised_by = 'bench', finalised_through = 'person'
FROM (
    SELECT
        invoice_id,
        row_number() OVER (ORDER BY invoice_id) AS nth,
        (SELECT coalesce(max(invoice_number), 0) FROM billing.invoices) AS base
    FROM billing.invoices
    WHERE billing_month = :month
) AS n
WHERE i.invoice_id = n.invoice_id
"""


def clear(subject: Subject) -> None:
    """Remove what was built of the month."""
    values = {"month": subject.month}
    with subject.warehouse.transaction() as connection:
        for asset in (*reversed(PRICED), "usage_quarantine"):
            connection.execute(text(f"DELETE FROM billing.{asset} WHERE billing_month = :month"), values)
    settle_down(subject)


def settle_down(subject: Subject) -> None:
    """Pay the debts of what came before, so that the next measurement does not."""
    _settle_down_in(subject.warehouse)


def _settle_down_in(warehouse: Warehouse) -> None:
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET ROLE NONE"))
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))
        connection.invalidate()


def say(line: str) -> None:
    """A line of progress with the time, beside the figures."""
    click.echo(f"{time.strftime('%H:%M:%S')}  {line}", err=True)
