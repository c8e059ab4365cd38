"""Usage events of a month into quantities, and what cannot be billed into quarantine.

Periods without a finalised invoice are measured anew. Those that are billed keep their rows for ever; where the usage
known by now gives something else, that is written beside them as another version.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text

from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.asset_months import Built, count_rows, owned_month, record_build
from billing_pipeline.postgres.connections import joined_in_bulk
from billing_pipeline.postgres.locks import keep_usage_still
from billing_pipeline.postgres.replace_rows import replace_rows
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.measuring import (
    TOO_MUCH_OR_LITTLE,
    bounds,
    feed_reach,
    measure_billed_periods,
    measure_open_periods,
    measurement,
    set_aside_unmeasurable,
    start_setting_aside,
)
from billing_pipeline.usage.restatement import restate

OPEN_PERIODS = """t.billing_month = :month AND NOT EXISTS (
    SELECT FROM billing.invoices AS i
    WHERE i.period_id = t.period_id AND i.billing_month = t.billing_month AND billing.is_final(i.status)
)"""
"""Rows that may still be rebuilt: no finalised invoice stands on them. A void one does not hold its period."""

QUARANTINE_KEY = ("billing_month", "stage", "customer_id", "meter", "dimensions", "period_id")


@dataclass(frozen=True)
class BuiltSnapshots(Built):
    """Also the cut-off, how much was set aside, and the billed periods that got another version."""

    as_of: datetime
    quarantined_series: int
    quarantined_events: int
    carried_forward_rows: int
    restated_periods: int


def build(
    warehouse: Warehouse, month: date, run_id: str, *, as_of: datetime | None = None, carry_forward: bool = False
) -> BuiltSnapshots:
    """Measure the month's periods: rows of open ones are replaced, billed ones are restated where they would differ.

    Args:
        warehouse: the database.
        month: the partition.
        run_id: written to new rows; rows that stay as they were keep theirs.
        as_of: count events received until then, and let every open row say so; default: now, and open rows whose
            content is unchanged keep theirs.
        carry_forward: bill what the feed does not cover at the quantities of the period before.

    Raises:
        UserError: `as_of` has no offset, or lies ahead: drafts would claim to know what nobody has sent yet.
    """
    if as_of is not None and as_of.tzinfo is None:
        raise UserError(f"as_of {as_of.isoformat()}: expected an offset, such as Z")
    with owned_month(warehouse, month) as connection:
        # imports hold this lock exclusively: no event can appear later with a received_at before the cut-off
        keep_usage_still(connection)
        now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        if as_of is not None and as_of > now:
            raise UserError(f"as_of {as_of.isoformat()} lies ahead: expected an instant that has passed")
        cut_off = as_of or now
        span = bounds(connection, month)
        reach = feed_reach(connection, cut_off, span["last_end"])
        carried_from = reach if carry_forward else None
        parameters = {**span, "run_id": run_id, "as_of": cut_off, "carried_forward_from": carried_from}
        start_setting_aside(connection)
        measure_open_periods(connection, month)
        with joined_in_bulk(connection):
            connection.execute(text(f"CREATE TEMP TABLE measured_open ON COMMIT DROP AS {measurement()}"), parameters)
        set_aside_unmeasurable(connection, "measured_open")
        change = replace_rows(
            connection,
            "billing.usage_snapshots",
            f"SELECT * FROM pg_temp.measured_open WHERE {TOO_MUCH_OR_LITTLE} IS NOT TRUE",
            OPEN_PERIODS,
            parameters,
            key=("period_id", "meter", "dimensions"),
            ignore=("run_id", "as_of") if as_of is None else ("run_id",),
        )
        restated = 0
        if measure_billed_periods(connection, month):
            restated = restate(connection, {**parameters, "carried_forward_from": reach})
        replace_rows(
            connection,
            "billing.usage_quarantine",
            load_sql("usage/usage_quarantine.sql"),
            "t.billing_month = :month AND t.stage = 'usage_snapshots'",
            parameters,
            key=QUARANTINE_KEY,
            ignore=("run_id", "worth_minor"),
        )
        record_build(
            connection,
            "usage_snapshots",
            month,
            run_id,
            as_of=cut_off,
            known_until=now,
            carried_forward_from=carried_from,
        )
        released = {"month": month, "run_id": run_id}
        if carried_from is not None:
            connection.execute(text(_LOG_RELEASE), {**released, "reach": carried_from})
        if as_of is not None:
            connection.execute(text(_LOG_AS_OF), {**released, "as_of": as_of})
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
        restated,
    )


_LOG_RELEASE = """
SELECT billing.log_action(
    'bill_month', 'month.carry_forward', 'month', CAST(:month AS text), 'released in the run''s config',
    run_id => :run_id, state_after => jsonb_build_object('feed_complete_through', CAST(:reach AS timestamptz))
)
"""
_LOG_AS_OF = """
SELECT billing.log_action(
    'bill_month', 'month.as_of', 'month', CAST(:month AS text), 'a cut-off in the run''s config',
    run_id => :run_id, state_after => jsonb_build_object('as_of', CAST(:as_of AS timestamptz))
)
"""
