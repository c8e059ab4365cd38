"""Approvals of a month's drafts: of exactly the rows that were there. Postgres asks for them at finalisation."""

import json
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import required_author
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


class ApprovalRefused(UserError):  # noqa: N818 - reads as what happened
    """The month cannot be approved as it is; nothing was recorded."""


@dataclass(frozen=True, slots=True)
class MonthDrafts:
    """What there is to approve: totals in minor units by currency; `rows` names the versions of the month's rows."""

    rows: str
    drafts: int
    totals_minor: dict[str, int]
    unmet_gates: int


def month_drafts(warehouse: Warehouse, month: date) -> MonthDrafts:
    """The month's drafts as they are."""
    [row] = warehouse.rows(load_sql("corrections/month_drafts.sql"), month=month)
    return MonthDrafts(row["rows"], row["drafts"], dict(row["totals"] or {}), row["unmet"])


def month_rows(warehouse: Warehouse, month: date) -> str:
    """The versions of the month's rows in one word, as MonthDrafts has them: without counting the drafts."""
    return str(warehouse.scalar("SELECT billing.month_rows(:month)", month=month))


def approve_month(warehouse: Warehouse, month: date, *, author: str, rows: str | None = None) -> MonthDrafts:
    """Record that `author` approves the month's drafts. Any change of them needs another approval.

    Args:
        warehouse: the database.
        month: the partition.
        author: who approves; not the person who then starts the run.
        rows: the versions that were looked at; the approval is refused if the month has moved on from them.

    Raises:
        ApprovalRefused: there is no draft, a gate is not passed, or the rows are not the ones that were looked at.
    """
    author = required_author(author)
    seen = month_drafts(warehouse, month)
    if seen.drafts == 0:
        raise ApprovalRefused(f"month {month:%Y-%m}: there is no draft to approve")
    if seen.unmet_gates:
        raise ApprovalRefused(f"month {month:%Y-%m}: {seen.unmet_gates} gates are not passed, run the month first")
    if rows is not None and rows != seen.rows:
        raise ApprovalRefused(f"month {month:%Y-%m} is at rows {seen.rows}, not {rows}: look at it again")
    try:
        with warehouse.transaction() as connection:
            connection.execute(
                text(_APPROVE),
                {
                    "month": month,
                    "rows": seen.rows,
                    "author": author,
                    "drafts": seen.drafts,
                    "totals": json.dumps(seen.totals_minor),
                },
            )
    except DBAPIError as error:
        raise ApprovalRefused(database_reason(error)) from error
    return seen


_APPROVE = """
WITH approved AS (
    INSERT INTO billing.month_approvals (billing_month, month_rows, author, drafts, totals)
    VALUES (:month, :rows, :author, :drafts, CAST(:totals AS jsonb))
    RETURNING *
)
SELECT billing.log_action(
    author, 'month.approve', 'month', billing_month::text,
    state_after => jsonb_build_object('rows', month_rows, 'drafts', drafts, 'totals', totals)
) FROM approved
"""
