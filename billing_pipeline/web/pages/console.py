"""The console's pages that show something. Each reads with a function of a room."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing_pipeline.books.automation_log import LogFilter, read_log
from billing_pipeline.books.customer_timeline import KINDS, customer_timeline
from billing_pipeline.books.invoice_story import invoice_story
from billing_pipeline.books.month_overview import month_overview, newest_month
from billing_pipeline.books.months import month_states
from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.charging.reading import count_charges, list_charges
from billing_pipeline.comparison.explain import explain_invoice
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.months import month_after, month_before, parse_month
from billing_pipeline.corrections.holds import active_holds
from billing_pipeline.corrections.reading import list_credit_notes, list_settlements, waiting_adjustments
from billing_pipeline.customers.reading import list_customers
from billing_pipeline.events.queue import EventFilter, listed
from billing_pipeline.invoicing.reading import STATUSES, list_invoices
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.pages.rendering import Reader, page
from billing_pipeline.web.pages.sessions import Visitor

ROWS = 100
PERSONAL = ("customer", "audit")
"""Entries of a time line that may tell names and addresses."""
REPORTS = {
    "revenue_summary": "MRR and its movements, a month and currency",
    "revenue_movements": "Customers whose MRR moved",
    "monthly_revenue": "Revenue by meter",
    "revenue_by_customer": "Revenue by customer, plan and country",
    "revenue_retention": "Retention of cohorts",
    "collection": "What was paid, and how fast",
    "receivables_ageing": "What is due, by age",
}
"""Views that the analytics page shows: the same that analysts query."""


@dataclass(frozen=True, slots=True)
class Console:
    """The pages; `clock` says what time it is."""

    warehouse: Warehouse
    clock: Callable[[], datetime]

    def home(self, _: Request, __: Visitor) -> Response:
        """The newest month."""
        month = newest_month(self.warehouse) or self.clock().date().replace(day=1)
        return RedirectResponse(f"/console/months/{month:%Y-%m}", 303)

    def month(self, request: Request, visitor: Visitor) -> Response:
        """How far a month has come, what is set aside, and what to do next."""
        month = parse_month(request.path_params["month"])
        before = month_before(month)
        return self._page(
            "console/month.html",
            visitor,
            overview=month_overview(self.warehouse, month, self.clock()),
            before=before,
            after=month_after(month),
            totals=self._totals(month, before),
            changes=self.warehouse.rows(load_sql("books/month_changes.sql"), month=month, before=before),
            months=month_states(self.warehouse, self.clock()),
        )

    def invoices(self, request: Request, visitor: Visitor) -> Response:
        """Invoices, drafts too."""
        asked = request.query_params
        month = parse_month(asked["month"]) if asked.get("month") else None
        status = asked.get("status") if asked.get("status") in STATUSES else None
        rows = list_invoices(
            self.warehouse, month=month, customer_id=asked.get("customer") or None, status=status, limit=ROWS + 1
        )
        return self._page(
            "console/invoices.html", visitor, rows=rows[:ROWS], more=len(rows) > ROWS, statuses=STATUSES, asked=asked
        )

    def invoice(self, request: Request, visitor: Visitor) -> Response:
        """One invoice: its lines, payments, credit notes, and what happened."""
        story = invoice_story(self.warehouse, request.path_params["invoice"])
        return self._page("console/invoice.html", visitor, story=story, invoice=story.invoice)

    def explained(self, request: Request, visitor: Visitor) -> Response:
        """An invoice computed again, down to the events."""
        explained = explain_invoice(self.warehouse, request.path_params["invoice"])
        return self._page("console/explained.html", visitor, explained=explained, invoice=explained.invoice)

    def customers(self, request: Request, visitor: Visitor) -> Response:
        """Customers; with htmx only the table, while somebody types."""
        search = request.query_params.get("q", "").strip()
        rows = list_customers(self.warehouse, search=search or None, limit=ROWS + 1)
        part = "console/customer_rows.html" if request.headers.get("hx-request") else "console/customers.html"
        return self._page(part, visitor, rows=rows[:ROWS], more=len(rows) > ROWS, search=search)

    def customer(self, request: Request, visitor: Visitor) -> Response:
        """One customer: what they owe, the time line."""
        customer_id = request.path_params["customer"]
        kinds = KINDS if visitor.session.sees_personal else [kind for kind in KINDS if kind not in PERSONAL]
        timeline = customer_timeline(self.warehouse, customer_id, kinds)
        return self._page(
            "console/customer.html",
            visitor,
            customer=timeline.customer,
            entries=timeline.entries[::-1][:200],
            due=self.warehouse.rows(
                "SELECT currency, count(*) AS invoices, sum(remaining_minor)::bigint AS remaining_minor"
                " FROM billing.receivables WHERE customer_id = :id GROUP BY currency",
                id=customer_id,
            ),
            contracts=self.warehouse.rows(
                "SELECT starts_on, ends_on, plan, start_inferred FROM billing.contracts WHERE customer_id = :id"
                " ORDER BY starts_on",
                id=customer_id,
            ),
            invoices=list_invoices(self.warehouse, customer_id=customer_id, limit=24),
            timezone=timeline.customer["timezone"],
        )

    def charges(self, request: Request, visitor: Visitor) -> Response:
        """Charges by state and reason, and the brakes."""
        state = request.query_params.get("state")
        return self._page(
            "console/charges.html",
            visitor,
            brakes=read_brakes(self.warehouse),
            counts=count_charges(self.warehouse),
            state=state,
            rows=list_charges(self.warehouse, (state,) if state else ("refused", "parked"), limit=ROWS),
        )

    def corrections(self, _: Request, visitor: Visitor) -> Response:
        """What waits to be put right."""
        return self._page(
            "console/corrections.html",
            visitor,
            holds=active_holds(self.warehouse),
            adjustments=waiting_adjustments(self.warehouse),
            notes=list_credit_notes(self.warehouse, limit=ROWS),
            settlements=list_settlements(self.warehouse),
        )

    def events(self, request: Request, visitor: Visitor) -> Response:
        """Stripe's events: by state, and the newest."""
        state = request.query_params.get("state")
        return self._page(
            "console/events.html",
            visitor,
            counts=self.warehouse.rows(
                "SELECT state, count(*) AS events FROM billing.stripe_event_work GROUP BY state ORDER BY state"
            ),
            rows=listed(self.warehouse, EventFilter(state=state), ROWS),
            state=state,
        )

    def books(self, _: Request, visitor: Visitor) -> Response:
        """Differences with Stripe, and which months are closed."""
        return self._page(
            "console/books.html",
            visitor,
            differences=self.warehouse.rows(load_sql("books/newest_differences.sql")),
            months=self.warehouse.rows(
                "SELECT billing_month, closed_at, closed_by, invoice_count, payment_count FROM billing.month_books"
                " ORDER BY billing_month DESC"
            ),
        )

    def prices(self, _: Request, visitor: Visitor) -> Response:
        """Price versions side by side."""
        rows = self.warehouse.rows(load_sql("pricing/list_prices.sql"), currency=None, customer_id=None)
        return self._page("console/prices.html", visitor, rows=rows)

    def log(self, request: Request, visitor: Visitor) -> Response:
        """The audit log, the newest first."""
        asked = request.query_params
        before = int(asked["before"]) if asked.get("before", "").isdigit() else None
        wanted = LogFilter(
            actor=asked.get("actor") or None,
            action=asked.get("action") or None,
            object_id=asked.get("object") or None,
        )
        rows = read_log(self.warehouse, wanted, after=before, limit=ROWS + 1)
        return self._page("console/log.html", visitor, rows=rows[:ROWS], more=len(rows) > ROWS, asked=asked)

    def analytics(self, request: Request, visitor: Visitor) -> Response:
        """A measure as a table and, where it has months, a chart."""
        name = request.path_params.get("report", "revenue_summary")
        if name not in REPORTS:
            raise UserError(f'report "{name}": expected one of {", ".join(REPORTS)}')
        rows = self.warehouse.rows(f"SELECT * FROM billing.{name} ORDER BY 1 DESC, 2 LIMIT 500")
        if not visitor.session.sees_personal:
            rows = [{key: value for key, value in row.items() if key != "customer_name"} for row in rows]
        return self._page("console/analytics.html", visitor, reports=REPORTS, report=name, rows=rows)

    def health(self, _: Request, visitor: Visitor) -> Response:
        """What somebody on call looks at first."""
        return self._page(
            "console/health.html",
            visitor,
            brakes=read_brakes(self.warehouse),
            months=month_states(self.warehouse, self.clock()),
            facts=self.warehouse.rows(load_sql("books/health.sql"))[0],
        )

    def search(self, request: Request, visitor: Visitor) -> Response:
        """Why is this not billed? A customer, event, invoice, month or meter, and where its way stopped."""
        wanted = request.query_params.get("q", "").strip()
        found = self.warehouse.rows(load_sql("books/search.sql"), wanted=wanted) if wanted else []
        return self._page("console/search.html", visitor, wanted=wanted, found=found)

    def _totals(self, month: date, before: date) -> list[dict[str, Any]]:
        return self.warehouse.rows(load_sql("books/month_totals.sql"), month=month, before=before)

    def _page(self, template: str, visitor: Visitor, *, timezone: str = "UTC", **values: Any) -> Response:
        def who(personal: str | None) -> str:
            return personal or "" if visitor.session.sees_personal else ""

        return page(template, Reader("en", timezone), visitor=visitor, session=visitor.session, who=who, **values)


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)
