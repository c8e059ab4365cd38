"""Which period of a customer runs now, or waits for its invoice, as a run would lay it out. Scratch tables only."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from billing_pipeline.core.months import month_after
from billing_pipeline.customers.rules.billing_cycle import parse_cycle
from billing_pipeline.invoicing.billing_periods import bridging_months, make_parts, read_contracts
from billing_pipeline.invoicing.rules.periods import periods_touching
from billing_pipeline.postgres.sql_files import load_sql


@dataclass(frozen=True, slots=True)
class OpenPeriod:
    """A period without a final invoice; the columns of sql/comparison/estimate_periods.sql.

    `wanted`: it is one of those that were asked for, not one that comes before them.
    """

    wanted: bool
    period_id: str
    customer_id: str
    currency: str
    billing_month: date
    timezone: str
    period_start: datetime
    period_end: datetime
    previous_end: datetime | None
    start_date: date
    end_date: date
    full_days: int | None
    plan: str | None
    in_trial: bool
    may_carry: bool
    drafted: bool
    adjusted: bool
    takes_adjustments: bool
    first_usage_at: datetime | None


def open_periods(connection: Connection, customers: list[str], now: datetime, month: date | None) -> list[OpenPeriod]:
    """The customers' periods that `now` lies in, or with `month` those that it bills and that have begun.

    Before them come those that draft first: where adjustments wait, what they take is gone. Reads pg_temp.relaid, and
    makes tables in pg_temp.
    """
    read_contracts(connection, customers)
    wanted = _running_months(connection, now) if month is None else [month]
    bridges = [each for each in bridging_months(connection, wanted[0]) if each < wanted[0]]
    months = [*bridges, *wanted]
    make_parts(connection, months)
    scope = {"months": months, "month": months[-1], "target": months[-1], "now": "infinity", "bridging": False}
    laid = load_sql("invoicing/billing_periods.sql")
    connection.execute(text(f"CREATE TEMP TABLE laid ON COMMIT DROP AS {laid}"), scope)
    adjusted = connection.execute(text(_ADJUSTED), {"customers": customers}).scalars().all()
    rows = connection.execute(
        text(load_sql("comparison/estimate_periods.sql")),
        {"customers": customers, "now": now, "month": month, "adjusted": adjusted},
    )
    found = [OpenPeriod(**row) for row in rows.mappings()]
    months_wanted = {(each.customer_id, each.billing_month) for each in found if each.wanted}
    owners = {customer for customer, _ in months_wanted}
    return [
        each
        for each in found
        if each.wanted
        or (each.customer_id, each.billing_month) in months_wanted
        # what a draft of another month holds is not among what waits
        or (each.customer_id in owners and not each.drafted)
    ]


def _running_months(connection: Connection, now: datetime) -> list[date]:
    """Months that may bill a period which holds `now`, of the customers of pg_temp.contracts_now; without a gap."""
    kinds = connection.execute(
        text(
            "SELECT DISTINCT timezone, billing_cycle, cycle_anchor FROM billing.customers"
            " WHERE customer_id IN (SELECT customer_id FROM pg_temp.contracts_now)"
        )
    ).all()
    first = last = now.date().replace(day=1)
    for kind in kinds:
        here = now.astimezone(ZoneInfo(kind.timezone)).date().replace(day=1)
        first, last = min(first, here), max(last, here)
        touching = periods_touching(here, kind.timezone, parse_cycle(kind.billing_cycle, kind.cycle_anchor))
        last = max([last, *(period.billing_month for period in touching if period.start <= now < period.end)])
    months = [first]
    while months[-1] < last:
        months.append(month_after(months[-1]))
    return months


_ADJUSTED = "SELECT DISTINCT customer_id FROM billing.adjustments WHERE customer_id = ANY(:customers)"
