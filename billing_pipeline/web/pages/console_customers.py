"""The console's customers: found while somebody types, and each with all that concerns them."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.books.customer_timeline import KINDS, TIMELINE_COLUMNS, customer_timeline
from billing_pipeline.books.receivables import due_of
from billing_pipeline.books.spreadsheets import csv_lines
from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.core.errors import UserError
from billing_pipeline.customers.contracts import contracts_of
from billing_pipeline.customers.reading import list_customers
from billing_pipeline.invoicing.credits import list_grants
from billing_pipeline.invoicing.reading import list_invoices
from billing_pipeline.notices.budgets import list_budgets
from billing_pipeline.notices.dunning import case_rows
from billing_pipeline.notices.dunning_policies import load_policy
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.rules.dunning_policy_file import PolicyWrong
from billing_pipeline.pricing.discounts import grants
from billing_pipeline.web.pages.console_pages import ROWS, ConsolePages, download
from billing_pipeline.web.pages.sessions import Visitor

PERSONAL = ("customer", "audit")
"""Entries of a time line that may tell names and addresses."""


@dataclass(frozen=True, slots=True)
class Customers(ConsolePages):
    """Their list, one of them, and its parts. `dunning_policy`: its file; None: the packaged one."""

    dunning_policy: Path | None = None

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
            dunning=self._dunning(customer_id),
            contracts=contracts_of(self.warehouse, customer_id),
            invoices=list_invoices(self.warehouse, customer_id=customer_id, limit=24),
            grants=list_grants(self.warehouse, customer_id=customer_id),
            coupons=grants(self.warehouse, customer_id=customer_id),
            budgets=list_budgets(self.warehouse, customer_id=customer_id),
            notices=list_notices(self.warehouse, customer_id=customer_id, limit=10),
            timezone=timeline.customer["timezone"],
        )

    def _dunning(self, customer_id: str) -> list[dict[str, Any]] | str:
        """The customer's unpaid invoices, with what is next; a text: why nobody can say it."""
        try:
            return case_rows(self.warehouse, load_policy(self.dunning_policy), self.clock(), customer_id)
        except PolicyWrong as wrong:
            return str(wrong)

    def running(self, request: Request, visitor: Visitor) -> Response:
        """What a customer's running period comes to: asked for after its page is there."""
        customer_id = request.path_params["customer"]
        running = estimate(self.warehouse, [customer_id], now=self.clock())
        of = f"/console/customers/{quote(customer_id)}"
        values: dict[str, Any] = {"running": running, "one_day": timedelta(days=1)}
        return self.part("console/customer_running.html", request, visitor, customer_id, of, **values)

    def timeline(self, request: Request, visitor: Visitor) -> Response:
        """A customer's time line, for a spreadsheet."""
        if not visitor.session.sees_personal:
            raise UserError("a time line: expected a role that sees who customers are")
        found = customer_timeline(self.warehouse, request.path_params["customer"], KINDS)
        return download("timeline", csv_lines(TIMELINE_COLUMNS, found.entries))
