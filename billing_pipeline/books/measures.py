"""The measures of revenue and usage that analysts query, for those who look: each is a view, of one definition."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from billing_pipeline.books.rules.measure_pictures import Picture, pictures
from billing_pipeline.core.errors import NotFound
from billing_pipeline.core.months import month_after

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a view says. `time`: its column that a range of months is about; None: it tells of now.

    `drawn`: columns that are a picture each, over `time` or, without one, over `along`; `apart`: a picture for each of
    its values, beside one for each currency. `is_wide`: has a row a customer, so that of its rows no more than a page
    shows of a month are ever kept. `is_kept`: over many customers the view takes longer than a page may.
    """

    says: str
    time: str | None = "billing_month"
    drawn: tuple[str, ...] = ()
    apart: str | None = None
    along: str | None = None
    is_wide: bool = False
    is_kept: bool = True

    def pictures(self, rows: list[Row]) -> list[Picture]:
        """What of its rows is drawn."""
        return pictures(rows, self.drawn, self.along or self.time or "", self.apart)


MEASURES = {
    "revenue_summary": Measure("MRR and its movements, a month and currency", drawn=("mrr_minor", "arpu_minor")),
    "net_revenue": Measure("Revenue, net of credit notes", drawn=("revenue_minor",)),
    "revenue_forecast": Measure("Forecast of the month that runs", time=None),
    "revenue_movements": Measure("Customers whose MRR moved", is_wide=True),
    "monthly_revenue": Measure("Revenue by meter", drawn=("revenue_minor",), apart="meter"),
    "revenue_by_plan": Measure("Revenue by plan", drawn=("revenue_minor",), apart="plan"),
    "revenue_by_country": Measure("Revenue by country", drawn=("revenue_minor",), apart="country"),
    "revenue_by_customer": Measure("Revenue by customer, plan and country", is_wide=True),
    "revenue_retention": Measure("Retention of cohorts", time="cohort_month"),
    "collection": Measure("What was paid, and how fast", drawn=("paid_percent", "median_days_to_pay")),
    "receivables_ageing": Measure("What is due, by age", time=None, drawn=("remaining_minor",), along="age"),
    "usage_trends": Measure("Usage by meter, against the month before", drawn=("quantity",), apart="meter"),
    "unusual_usage_by_day": Measure(
        "Unusual usage by day", time="day", drawn=("spikes", "drops"), apart="meter", is_kept=False
    ),
    "unusual_usage": Measure("Hours of unusual usage", time="hour", is_kept=False),
}
"""Views of the schema `billing`, and the table of unusual usage."""


@dataclass(frozen=True, slots=True)
class Range:
    """Months from the first to the last; None: no end on that side."""

    first: date | None = None
    last: date | None = None

    @property
    def behind(self) -> date | None:
        """The month after the last one."""
        return month_after(self.last) if self.last else None


ALL_MONTHS = Range()


def measure_of(name: str) -> Measure:
    """What the measure says.

    Raises:
        NotFound: there is no such measure.
    """
    if name not in MEASURES:
        raise NotFound(f'report "{name}": expected one of {", ".join(MEASURES)}')
    return MEASURES[name]
