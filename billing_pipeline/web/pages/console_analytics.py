"""The console's measures of revenue and usage: pictures, a table, a file for a spreadsheet, of a range of months."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.books.measures import MEASURES, ROWS_MAX, Range, measure_csv, measure_of, read_measure
from billing_pipeline.books.rules.cohort_grids import grids
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.months import parse_month
from billing_pipeline.web.pages.console_pages import ConsolePages, download
from billing_pipeline.web.pages.sessions import Visitor


@dataclass(frozen=True, slots=True)
class Analytics(ConsolePages):
    """Each is a view that analysts query, too."""

    def shown(self, request: Request, visitor: Visitor) -> Response:
        """Which measures there are, and of which months; the rows are asked for after the page is there."""
        name = request.path_params.get("report", "revenue_summary")
        _within(request)
        values = {"measures": MEASURES, "report": name, "measure": measure_of(name), "asked": request.query_params}
        return self.page("console/analytics.html", visitor, **values)

    def rows(self, request: Request, visitor: Visitor) -> Response:
        """A measure as pictures and a table: over very many customers it takes seconds."""
        name = request.path_params["report"]
        measure, within, personal = measure_of(name), _within(request), visitor.session.sees_personal
        rows = read_measure(self.warehouse, name, personal=personal, within=within)
        before = (
            read_measure(self.warehouse, "revenue_summary", personal=personal) if name == "revenue_forecast" else []
        )
        values: dict[str, Any] = {"report": name, "measure": measure, "rows": rows, "before": before}
        values |= {"pictures": measure.pictures(rows), "more": len(rows) == ROWS_MAX}
        values["grids"] = grids(rows, ("customers_percent", "mrr_percent")) if name == "revenue_retention" else []
        return self.part(
            "console/analytics_rows.html", request, visitor, measure.says, f"/console/analytics/{name}", **values
        )

    def downloaded(self, request: Request, visitor: Visitor) -> Response:
        """The same rows, and those that the page leaves out."""
        name = request.path_params["report"]
        lines = measure_csv(self.warehouse, name, personal=visitor.session.sees_personal, within=_within(request))
        return download(name, lines)


def _within(request: Request) -> Range:
    first, last = (request.query_params.get(name) for name in ("from", "to"))
    within = Range(parse_month(first) if first else None, parse_month(last) if last else None)
    if within.first and within.last and within.first > within.last:
        raise UserError(f"from {first}: expected a month that is not behind {last}")
    return within
