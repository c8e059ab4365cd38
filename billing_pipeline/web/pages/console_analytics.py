"""The console's measures of revenue and usage: pictures, a table, a file for a spreadsheet, of a range of months."""

from dataclasses import dataclass
from datetime import UTC
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing_pipeline.books.measure_reading import measure_csv, read_measure
from billing_pipeline.books.measures import MEASURES, Range, measure_of
from billing_pipeline.books.rules.cohort_grids import grids
from billing_pipeline.books.stored_measures import PAGE_ROWS_MAX, work_out
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.months import parse_month
from billing_pipeline.web.pages.console_pages import ROWS, ConsolePages, download
from billing_pipeline.web.pages.sessions import Fields, Visitor


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
        """A measure as pictures and a table: over very many customers as it was worked out last."""
        name = request.path_params["report"]
        measure, within, personal = measure_of(name), _within(request), visitor.session.sees_personal
        limit = ROWS + 1 if measure.is_wide else PAGE_ROWS_MAX
        read = read_measure(self.warehouse, name, personal=personal, within=within, limit=limit)
        rows, before = read.rows, []
        if name == "revenue_forecast":
            before = read_measure(self.warehouse, "revenue_summary", personal=personal).rows
        values: dict[str, Any] = {"report": name, "measure": measure, "rows": rows[:ROWS], "before": before}
        values |= {"pictures": measure.pictures(rows), "more": len(rows) > ROWS, "as_of": read.as_of}
        values["grids"] = grids(rows, ("customers_percent", "mrr_percent")) if name == "revenue_retention" else []
        return self.part(
            "console/analytics_rows.html", request, visitor, measure.says, f"/console/analytics/{name}", **values
        )

    def downloaded(self, request: Request, visitor: Visitor) -> Response:
        """The same rows, and those that the page leaves out."""
        name = request.path_params["report"]
        within, personal = _within(request), visitor.session.sees_personal
        lines, as_of = measure_csv(self.warehouse, name, personal=personal, within=within)
        return download(f"{name}_as_of_{as_of.astimezone(UTC):%Y-%m-%dT%H%MZ}" if as_of else name, lines)

    def work_out(self, request: Request, visitor: Visitor, _: Fields) -> Response:
        """Keep the measure as its view has it now, then the page again. No fact changes: whoever looks may do it."""
        name = request.path_params["report"]
        try:
            work_out(self.warehouse, name)
        except NotFound as unknown:
            answer = self.page("console/message.html", visitor, title="Not found", message=str(unknown))
            answer.status_code = 404
            return answer
        return RedirectResponse(f"/console/analytics/{name}", 303)


def _within(request: Request) -> Range:
    first, last = (request.query_params.get(name) for name in ("from", "to"))
    within = Range(parse_month(first) if first else None, parse_month(last) if last else None)
    if within.first and within.last and within.first > within.last:
        raise UserError(f"from {first}: expected a month that is not behind {last}")
    return within
