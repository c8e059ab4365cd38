"""Months that a charging run came to too early: some drafts were outdated, or the time for looking was not over.

Whether they still wait is asked of Postgres each time (billing.waiting_drafts); the table only says where to look.
"""

from dataclasses import dataclass
from datetime import date

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A month that a run is asked for again. `redraft`: its drafts are built anew first; else it is charged.

    `key` differs whenever its drafts, or what they were drafted from, are others.
    """

    billing_month: date
    redraft: bool
    key: str


def requests_due(warehouse: Warehouse) -> list[ChargeRequest]:
    """The months that have outdated drafts, or none that waits any more, the oldest first."""
    return [ChargeRequest(**row) for row in warehouse.rows(load_sql("charging/charge_requests_due.sql"))]
