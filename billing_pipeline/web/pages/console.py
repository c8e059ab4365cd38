"""The console's pages that show something. Each reads with a function of a room."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.books.automation_log import LOG_COLUMNS, LogFilter, read_log, whole_log
from billing_pipeline.books.invoice_story import invoice_story
from billing_pipeline.books.months import month_states
from billing_pipeline.books.reading import health, month_books, newest_differences, search
from billing_pipeline.books.spreadsheets import csv_lines
from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.charging.canary import unreleased_months
from billing_pipeline.charging.reading import count_charges, list_charges
from billing_pipeline.comparison.explain import explain_invoice
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.months import parse_month
from billing_pipeline.corrections.failed_refunds import failed_refunds
from billing_pipeline.corrections.holds import active_holds
from billing_pipeline.corrections.lost_disputes import list_disputes
from billing_pipeline.corrections.reading import list_credit_notes, list_settlements, waiting_adjustments
from billing_pipeline.events.queue import EventFilter, count_by_state, listed
from billing_pipeline.invoicing.reading import STATUSES, list_invoices
from billing_pipeline.notices.alerts import list_alerts
from billing_pipeline.web.pages.console_pages import ROWS, ConsolePages, download
from billing_pipeline.web.pages.sessions import Visitor


@dataclass(frozen=True, slots=True)
class Console(ConsolePages):
    """All but months, customers, prices and analytics, which have modules of their own."""

    def invoices(self, request: Request, visitor: Visitor) -> Response:
        """Invoices, drafts too."""
        asked = request.query_params
        month = parse_month(asked["month"]) if asked.get("month") else None
        status = asked.get("status") if asked.get("status") in STATUSES else None
        rows = list_invoices(
            self.warehouse, month=month, customer_id=asked.get("customer") or None, status=status, limit=ROWS + 1
        )
        return self.page(
            "console/invoices.html", visitor, rows=rows[:ROWS], more=len(rows) > ROWS, statuses=STATUSES, asked=asked
        )

    def invoice(self, request: Request, visitor: Visitor) -> Response:
        """One invoice: its lines, payments, credit notes, and what happened."""
        story = invoice_story(self.warehouse, request.path_params["invoice"])
        return self.page("console/invoice.html", visitor, story=story, invoice=story.invoice)

    def explained(self, request: Request, visitor: Visitor) -> Response:
        """An invoice computed again, down to the events."""
        explained = explain_invoice(self.warehouse, request.path_params["invoice"])
        return self.page("console/explained.html", visitor, explained=explained, invoice=explained.invoice)

    def charges(self, request: Request, visitor: Visitor) -> Response:
        """Charges by state and reason, and the brakes."""
        state = request.query_params.get("state")
        return self.page(
            "console/charges.html",
            visitor,
            brakes=read_brakes(self.warehouse),
            unreleased=unreleased_months(self.warehouse),
            counts=count_charges(self.warehouse),
            state=state,
            rows=list_charges(self.warehouse, (state,) if state else ("refused", "parked"), limit=ROWS),
        )

    def corrections(self, _: Request, visitor: Visitor) -> Response:
        """What waits to be put right."""
        return self.page(
            "console/corrections.html",
            visitor,
            holds=active_holds(self.warehouse),
            adjustments=waiting_adjustments(self.warehouse),
            disputes=list_disputes(self.warehouse),
            refunds=failed_refunds(self.warehouse),
            notes=list_credit_notes(self.warehouse, limit=ROWS),
            settlements=list_settlements(self.warehouse),
        )

    def events(self, request: Request, visitor: Visitor) -> Response:
        """Stripe's events: by state, and the newest."""
        state = request.query_params.get("state")
        return self.page(
            "console/events.html",
            visitor,
            counts=count_by_state(self.warehouse),
            rows=listed(self.warehouse, EventFilter(state=state), ROWS),
            state=state,
        )

    def books(self, _: Request, visitor: Visitor) -> Response:
        """Differences with Stripe, and which months are closed."""
        return self.page(
            "console/books.html",
            visitor,
            differences=newest_differences(self.warehouse),
            months=month_books(self.warehouse),
        )

    def log(self, request: Request, visitor: Visitor) -> Response:
        """The audit log, the newest first."""
        asked = request.query_params
        before = int(asked["before"]) if asked.get("before", "").isdigit() else None
        rows = read_log(self.warehouse, _wanted(request), after=before, limit=ROWS + 1)
        return self.page("console/log.html", visitor, rows=rows[:ROWS], more=len(rows) > ROWS, asked=asked)

    def whole_log(self, request: Request, visitor: Visitor) -> Response:
        """All of the log that is wanted, for a spreadsheet."""
        if not visitor.session.sees_personal:
            raise UserError("the log as a file: expected a role that sees who customers are")
        return download("log", csv_lines(LOG_COLUMNS, whole_log(self.warehouse, _wanted(request))))

    def health(self, _: Request, visitor: Visitor) -> Response:
        """What somebody on call looks at first."""
        return self.page(
            "console/health.html",
            visitor,
            brakes=read_brakes(self.warehouse),
            months=month_states(self.warehouse, self.clock()),
            facts=health(self.warehouse),
            alerts=list_alerts(self.warehouse),
        )

    def search(self, request: Request, visitor: Visitor) -> Response:
        """Why is this not billed? A customer, event, invoice, month or meter, and where its way stopped."""
        wanted = request.query_params.get("q", "").strip()
        return self.page("console/search.html", visitor, wanted=wanted, found=search(self.warehouse, wanted))


def _wanted(request: Request) -> LogFilter:
    asked = request.query_params
    return LogFilter(
        actor=asked.get("actor") or None, action=asked.get("action") or None, object_id=asked.get("object") or None
    )
