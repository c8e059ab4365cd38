"""The console's month: how far it has come, what moved it, and how its runs are doing."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing_pipeline.books.month_comparison import largest_changes, month_totals
from billing_pipeline.books.month_overview import month_overview, newest_month
from billing_pipeline.books.months import month_states
from billing_pipeline.books.started_runs import runs_under_way
from billing_pipeline.comparison.month_waterfalls import month_waterfalls
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.months import month_after, month_before, parse_month
from billing_pipeline.web.pages.console_pages import ConsolePages
from billing_pipeline.web.pages.sessions import Visitor


@dataclass(frozen=True, slots=True)
class Months(ConsolePages):
    """The home page and its parts, which htmx asks for one by one: they take longer than the page may."""

    def home(self, _: Request, __: Visitor) -> Response:
        """The newest month."""
        month = newest_month(self.warehouse) or self.clock().date().replace(day=1)
        return RedirectResponse(f"/console/months/{month:%Y-%m}", 303)

    def month(self, request: Request, visitor: Visitor) -> Response:
        """How far a month has come, what is set aside, and what to do next."""
        month = parse_month(request.path_params["month"])
        now = self.clock()
        return self.page(
            "console/month.html",
            visitor,
            overview=month_overview(self.warehouse, month, now),
            before=month_before(month),
            after=month_after(month),
            totals=month_totals(self.warehouse, month),
            months=month_states(self.warehouse, now),
        )

    def comparison(self, request: Request, visitor: Visitor) -> Response:
        """What moved the month since the one before."""
        month = parse_month(request.path_params["month"])
        return self._part(
            "comparison",
            request,
            visitor,
            before=month_before(month),
            falls=month_waterfalls(self.warehouse, month),
            changes=largest_changes(self.warehouse, month),
        )

    def runs(self, request: Request, visitor: Visitor) -> Response:
        """How the month's runs are doing. Who watched one sees the whole page anew when it has ended."""
        from billing_pipeline.defs.run_records import runs_of_month  # loads Dagster, which takes seconds

        month = parse_month(request.path_params["month"])
        problem, records = "", []
        try:
            records = runs_of_month(self.warehouse.dagster_url.render_as_string(hide_password=False), month)
        except UserError as error:
            problem = str(error)
        known = {run.run_id for run in records}
        coming = [run for run in runs_under_way(self.warehouse, month) if run.run_id not in known]
        watch = bool(coming) or any(run.is_running for run in records)
        answer = self._part("runs", request, visitor, records=records, coming=coming, watch=watch, problem=problem)
        if request.query_params.get("watching") and not watch:
            answer.headers["HX-Refresh"] = "true"
        return answer

    def _part(self, name: str, request: Request, visitor: Visitor, **values: Any) -> Response:
        month = parse_month(request.path_params["month"])
        of = f"/console/months/{month:%Y-%m}"
        values["billing_month"] = month
        return self.part(f"console/month_{name}.html", request, visitor, f"{month:%B %Y}", of, **values)
