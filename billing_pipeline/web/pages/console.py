"""The console's pages that show something. Each reads with a function of a room."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.books.automation_log import LogFilter, read_log
from billing_pipeline.books.customer_timeline import KINDS, customer_timeline
from billing_pipeline.books.invoice_story import invoice_story
from billing_pipeline.books.months import month_states
from billing_pipeline.books.reading import health, month_books, newest_differences, search
from billing_pipeline.books.receivables import due_of
from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.charging.reading import count_charges, list_charges
from billing_pipeline.comparison.explain import explain_invoice
from billing_pipeline.core.months import parse_month
from billing_pipeline.corrections.holds import active_holds
from billing_pipeline.corrections.reading import list_credit_notes, list_settlements, waiting_adjustments
from billing_pipeline.customers.contracts import contracts_of
from billing_pipeline.customers.reading import list_customers
from billing_pipeline.events.queue import EventFilter, count_by_state, listed
from billing_pipeline.invoicing.reading import STATUSES, list_invoices
from billing_pipeline.pricing.reading import prices_loaded
from billing_pipeline.web.pages.console_pages import ConsolePages
from billing_pipeline.web.pages.sessions import Visitor

ROWS = 100
PERSONAL = ("customer", "audit")
"""Entries of a time line that may tell names and addresses."""


@dataclass(frozen=True, slots=True)
class Console(ConsolePages):
    """All but the month and analytics, which are in `console_months` and `console_analytics`."""

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

    def customers(self, request: Request, visitor: Visitor) -> Response:
        """Customers; with htmx only the table, while somebody types."""
        search = request.query_params.get("q", "").strip()
        rows = list_customers(self.warehouse, search=search or None, limit=ROWS + 1)
        part = "console/customer_rows.html" if request.headers.get("hx-request") else "console/customers.html"
        return self.page(part, visitor, rows=rows[:ROWS], more=len(rows) > ROWS, search=search)

    def customer(self, request: Request, visitor: Visitor) -> Response:
        """One customer: what they owe, the time line."""
        customer_id = request.path_params["customer"]
        kinds = KINDS if visitor.session.sees_personal else [kind for kind in KINDS if kind not in PERSONAL]
        timeline = customer_timeline(self.warehouse, customer_id, kinds)
        return self.page(
            "console/customer.html",
            visitor,
            customer=timeline.customer,
            entries=timeline.entries[::-1][:200],
            due=due_of(self.warehouse, customer_id),
            contracts=contracts_of(self.warehouse, customer_id),
            invoices=list_invoices(self.warehouse, customer_id=customer_id, limit=24),
            timezone=timeline.customer["timezone"],
        )

    def charges(self, request: Request, visitor: Visitor) -> Response:
        """Charges by state and reason, and the brakes."""
        state = request.query_params.get("state")
        return self.page(
            "console/charges.html",
            visitor,
            brakes=read_brakes(self.warehouse),
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

    def prices(self, _: Request, visitor: Visitor) -> Response:
        """Price versions side by side."""
        return self.page("console/prices.html", visitor, rows=prices_loaded(self.warehouse).prices)

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
        return self.page("console/log.html", visitor, rows=rows[:ROWS], more=len(rows) > ROWS, asked=asked)

    def health(self, _: Request, visitor: Visitor) -> Response:
        """What somebody on call looks at first."""
        return self.page(
            "console/health.html",
            visitor,
            brakes=read_brakes(self.warehouse),
            months=month_states(self.warehouse, self.clock()),
            facts=health(self.warehouse),
        )

    def search(self, request: Request, visitor: Visitor) -> Response:
        """Why is this not billed? A customer, event, invoice, month or meter, and where its way stopped."""
        wanted = request.query_params.get("q", "").strip()
        return self.page("console/search.html", visitor, wanted=wanted, found=search(self.warehouse, wanted))
