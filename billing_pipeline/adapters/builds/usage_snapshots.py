"""Usage events of a month into quantities, and what cannot be billed into quarantine."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.adapters.builds.month import (
    Built,
    count_rows,
    first_of,
    month_after,
    owned_month,
    record_build,
)
from billing_pipeline.adapters.locks import USAGE_LOCK
from billing_pipeline.adapters.warehouse import Warehouse, load_sql, replace_rows

OPEN_PERIODS = """t.billing_month = :month AND NOT EXISTS (
    SELECT FROM billing.invoices AS i
    WHERE i.period_id = t.period_id AND i.billing_month = t.billing_month AND i.status NOT IN ('draft', 'void')
)"""
"""Rows that may still be rebuilt: no finalised invoice stands on them. A void one does not hold its period."""

QUARANTINE_KEY = ("billing_month", "stage", "customer_id", "meter", "dimensions", "period_id")


@dataclass(frozen=True)
class BuiltSnapshots(Built):
    """Also the cut-off, and how much was set aside."""

    as_of: datetime
    quarantined_series: int
    quarantined_events: int
    carried_forward_rows: int


def build(
    warehouse: Warehouse, month: date, run_id: str, *, as_of: datetime | None = None, carry_forward: bool = False
) -> BuiltSnapshots:
    """Measure the month's periods that have no finalised invoice.

    Args:
        warehouse: the database.
        month: the partition.
        run_id: written to new rows; rows that stay as they were keep theirs.
        as_of: count events received until then; default: now. Rows whose content is unchanged keep theirs.
        carry_forward: bill what the feed does not cover at the quantities of the period before.
    """
    with owned_month(warehouse, month) as connection:
        # imports hold this lock exclusively: no event can appear later with a received_at before the cut-off
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": USAGE_LOCK})
        bounds = _bounds(connection, month)
        carried_from = _feed_reach(connection, bounds["last_end"]) if carry_forward else None
        cut_off = as_of or connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        parameters = {
            **bounds,
            "month": month,
            "run_id": run_id,
            "as_of": cut_off,
            "carried_forward_from": carried_from,
            "month_start": first_of(month),
            "month_end": first_of(month_after(month)),
        }
        change = replace_rows(
            connection,
            "billing.usage_snapshots",
            load_sql("assets/usage_snapshots.sql"),
            OPEN_PERIODS,
            parameters,
            key=("period_id", "meter", "dimensions"),
            ignore=("run_id", "as_of"),
        )
        replace_rows(
            connection,
            "billing.usage_quarantine",
            load_sql("assets/usage_quarantine.sql"),
            f"{OPEN_PERIODS} AND t.stage = 'usage_snapshots'",
            parameters,
            key=QUARANTINE_KEY,
        )
        record_build(connection, "usage_snapshots", month, run_id, as_of=cut_off, carried_forward_from=carried_from)
        if carried_from is not None:
            connection.execute(text(_LOG_RELEASE), {"month": month, "run_id": run_id, "reach": carried_from})
        quarantine = connection.execute(
            text(
                "SELECT count(*) AS series, coalesce(sum(event_count), 0) AS events FROM billing.usage_quarantine"
                " WHERE billing_month = :month AND stage = 'usage_snapshots'"
            ),
            {"month": month},
        ).one()
        carried = connection.execute(
            text(
                "SELECT count(*) FROM billing.usage_snapshots"
                " WHERE billing_month = :month AND basis = 'carried_forward'"
            ),
            {"month": month},
        ).scalar_one()
        row_count = count_rows(connection, "usage_snapshots", month)
    return BuiltSnapshots(
        change.inserted,
        change.deleted,
        row_count,
        cut_off,
        int(quarantine.series),
        int(quarantine.events),
        int(carried),
    )


def _bounds(connection: Connection, month: date) -> dict[str, Any]:
    found = connection.execute(
        text(
            "SELECT coalesce(min(period_start), :first) AS first_start, coalesce(max(period_end), :last) AS last_end"
            " FROM billing.billing_periods WHERE billing_month = :month"
        ),
        {"month": month, "first": first_of(month), "last": first_of(month_after(month))},
    ).one()
    return {"first_start": found.first_start, "last_end": found.last_end}


def _feed_reach(connection: Connection, default: datetime) -> datetime:
    reach = connection.execute(text("SELECT max(complete_through) FROM billing.usage_imports")).scalar()
    return default if reach is None else min(reach, default)


_LOG_RELEASE = """
INSERT INTO billing.automation_log (actor, run_id, action, object_type, object_id, reason, state_after)
VALUES ('bill_month', :run_id, 'month.carry_forward', 'month', cast(:month AS text), 'released in the run''s config',
    jsonb_build_object('feed_complete_through', cast(:reach AS timestamptz)))
"""
