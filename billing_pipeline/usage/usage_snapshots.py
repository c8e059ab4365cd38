"""Usage events of a month into quantities, and what cannot be billed into quarantine.

Periods without a finalised invoice are measured anew. Those that are billed keep their rows for ever; where the usage
known by now gives something else, that is written beside them as another version.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.asset_months import Built, CutOff, owned_month, record_build, record_customer_build
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

OF_CUSTOMER = "(CAST(:customer AS text) IS NULL OR t.customer_id = :customer)"
"""Rows of the customer that is named; of all of them, if none is."""

OPEN_PERIODS = f"""t.billing_month = :month AND {OF_CUSTOMER} AND NOT EXISTS (
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
    with owned_month(warehouse, month) as connection:
        return measure(connection, month, run_id, as_of=as_of, carry_forward=carry_forward)


def measure(
    connection: Connection,
    month: date,
    run_id: str,
    *,
    as_of: datetime | None = None,
    carry_forward: bool = False,
    customer: str | None = None,
) -> BuiltSnapshots:
    """What `build` does, in a transaction that owns the month; of one customer alone, if one is named.

    The rows of the others, and until when their usage was read, stay as they are.
    """
    if as_of is not None and as_of.tzinfo is None:
        raise UserError(f"as_of {as_of.isoformat()}: expected an offset, such as Z")
    # imports hold this lock exclusively: no event can appear later with a received_at before the cut-off
    keep_usage_still(connection)
    now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    if as_of is not None and as_of > now:
        raise UserError(f"as_of {as_of.isoformat()} lies ahead: expected an instant that has passed")
    cut_off = as_of or now
    span = bounds(connection, month)
    reach = feed_reach(connection, cut_off, span["last_end"])
    carried_from = reach if carry_forward else None
    parameters = {
        **span,
        "run_id": run_id,
        "as_of": cut_off,
        "carried_forward_from": carried_from,
        "customer": customer,
    }
    start_setting_aside(connection)
    measure_open_periods(connection, month, customer)
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
    if measure_billed_periods(connection, month, customer):
        restated = restate(connection, {**parameters, "carried_forward_from": reach})
    replace_rows(
        connection,
        "billing.usage_quarantine",
        load_sql("usage/usage_quarantine.sql"),
        f"t.billing_month = :month AND t.stage = 'usage_snapshots' AND {OF_CUSTOMER}",
        parameters,
        key=QUARANTINE_KEY,
        ignore=("run_id", "worth_minor"),
    )
    used = CutOff(known_until=now, as_of=cut_off, carried_forward_from=carried_from)
    if customer is None:
        record_build(connection, "usage_snapshots", month, run_id, cut_off=used)
    else:
        record_customer_build(connection, "usage_snapshots", month, customer, run_id, used)
    _log_released(connection, month, run_id, used, as_of, customer)
    counts = connection.execute(text(_COUNTS), {"month": month, "customer": customer}).one()
    return BuiltSnapshots(
        change.inserted,
        change.deleted,
        int(counts.rows),
        cut_off,
        int(counts.series),
        int(counts.events),
        int(counts.carried),
        restated,
    )


def _log_released(
    connection: Connection, month: date, run_id: str, used: CutOff, as_of: datetime | None, customer: str | None
) -> None:
    """What the run's config let pass is in the audit log."""
    said = {
        "actor": "bill_month" if customer is None else "bill_customer",
        "object_type": "month" if customer is None else "customer",
        "object_id": str(month) if customer is None else customer,
        "month": None if customer is None else str(month),
        "run_id": run_id,
    }
    if used.carried_forward_from is not None:
        connection.execute(text(_LOG_RELEASE), {**said, "reach": used.carried_forward_from})
    if as_of is not None:
        connection.execute(text(_LOG_AS_OF), {**said, "as_of": as_of})


_COUNTS = f"""
SELECT
    count(*) AS rows,
    count(*) FILTER (WHERE t.basis = 'carried_forward') AS carried,
    (
        SELECT count(*) FROM billing.usage_quarantine AS t
        WHERE t.billing_month = :month AND t.stage = 'usage_snapshots' AND {OF_CUSTOMER}
    ) AS series,
    (
        SELECT coalesce(sum(t.event_count), 0) FROM billing.usage_quarantine AS t
        WHERE t.billing_month = :month AND t.stage = 'usage_snapshots' AND {OF_CUSTOMER}
    ) AS events
FROM billing.usage_snapshots AS t
WHERE t.billing_month = :month AND {OF_CUSTOMER}
"""
_LOG_RELEASE = """
SELECT billing.log_action(
    :actor, 'month.carry_forward', :object_type, :object_id, 'released in the run''s config', run_id => :run_id,
    state_after => jsonb_strip_nulls(jsonb_build_object(
        'month', CAST(:month AS text), 'feed_complete_through', CAST(:reach AS timestamptz)
    ))
)
"""
_LOG_AS_OF = """
SELECT billing.log_action(
    :actor, 'month.as_of', :object_type, :object_id, 'a cut-off in the run''s config', run_id => :run_id,
    state_after => jsonb_strip_nulls(jsonb_build_object(
        'month', CAST(:month AS text), 'as_of', CAST(:as_of AS timestamptz)
    ))
)
"""
