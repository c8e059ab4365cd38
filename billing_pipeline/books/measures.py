"""The measures of revenue and usage that analysts query, for those who look: each is a view, of one definition."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from billing_pipeline.books.rules.measure_pictures import Picture, pictures
from billing_pipeline.books.spreadsheets import csv_lines
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.months import month_after
from billing_pipeline.postgres.warehouse import Warehouse

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a view says. `time`: its column that a range of months is about; None: it tells of now.

    `drawn`: columns that are a picture each, over `time` or, without one, over `along`; `apart`: a picture for each of
    its values, beside one for each currency.
    """

    says: str
    time: str | None = "billing_month"
    drawn: tuple[str, ...] = ()
    apart: str | None = None
    along: str | None = None

    def pictures(self, rows: list[Row]) -> list[Picture]:
        """What of its rows is drawn."""
        return pictures(rows, self.drawn, self.along or self.time or "", self.apart)


MEASURES = {
    "revenue_summary": Measure("MRR and its movements, a month and currency", drawn=("mrr_minor", "arpu_minor")),
    "net_revenue": Measure("Revenue, net of credit notes", drawn=("revenue_minor",)),
    "revenue_forecast": Measure("Forecast of the month that runs", time=None),
    "revenue_movements": Measure("Customers whose MRR moved"),
    "monthly_revenue": Measure("Revenue by meter", drawn=("revenue_minor",), apart="meter"),
    "revenue_by_plan": Measure("Revenue by plan", drawn=("revenue_minor",), apart="plan"),
    "revenue_by_country": Measure("Revenue by country", drawn=("revenue_minor",), apart="country"),
    "revenue_by_customer": Measure("Revenue by customer, plan and country"),
    "revenue_retention": Measure("Retention of cohorts", time="cohort_month"),
    "collection": Measure("What was paid, and how fast", drawn=("paid_percent", "median_days_to_pay")),
    "receivables_ageing": Measure("What is due, by age", time=None, drawn=("remaining_minor",), along="age"),
    "usage_trends": Measure("Usage by meter, against the month before", drawn=("quantity",), apart="meter"),
    "unusual_usage_by_day": Measure("Unusual usage by day", time="day", drawn=("spikes", "drops"), apart="meter"),
    "unusual_usage": Measure("Hours of unusual usage", time="hour"),
}
"""Views of the schema `billing`, and the table of unusual usage."""
ROWS_MAX = 500
CSV_ROWS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Range:
    """Months from the first to the last; None: no end on that side."""

    first: date | None = None
    last: date | None = None


def read_measure(
    warehouse: Warehouse, name: str, *, personal: bool, within: Range = Range(), limit: int = ROWS_MAX
) -> list[Row]:
    """The view's first rows of these months, the newest first; `personal`: with the names of customers.

    Raises:
        NotFound: there is no such measure.
    """
    time = measure_of(name).time
    condition = ""
    values: Row = {"row_limit": limit}
    if time is not None:
        condition = (
            f" WHERE (CAST(:first AS date) IS NULL OR {time} >= CAST(:first AS date))"
            f" AND (CAST(:behind AS date) IS NULL OR {time} < CAST(:behind AS date))"
        )
        values |= {"first": within.first, "behind": month_after(within.last) if within.last else None}
    rows = warehouse.rows(f"SELECT * FROM billing.{name}{condition} ORDER BY 1 DESC, 2, 3 LIMIT :row_limit", **values)
    return rows if personal else [{key: row[key] for key in row if key != "customer_name"} for row in rows]


def measure_csv(warehouse: Warehouse, name: str, *, personal: bool, within: Range = Range()) -> Iterator[str]:
    """The same for a spreadsheet, line by line, amounts in minor units: all of it or nothing.

    Raises:
        NotFound: there is no such measure.
        UserError: these are more than CSV_ROWS_MAX rows.
    """
    rows = read_measure(warehouse, name, personal=personal, within=within, limit=CSV_ROWS_MAX + 1)
    if len(rows) > CSV_ROWS_MAX:
        raise UserError(f"{name}: expected months with at most {CSV_ROWS_MAX:,} rows together; choose fewer")
    return csv_lines(list(rows[0]) if rows else [], rows)


def measure_of(name: str) -> Measure:
    """What the measure says.

    Raises:
        NotFound: there is no such measure.
    """
    if name not in MEASURES:
        raise NotFound(f'report "{name}": expected one of {", ".join(MEASURES)}')
    return MEASURES[name]
