"""What customers read of their own: the running period, invoices, plan, credits."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.books.invoice_story import invoice_story
from billing_pipeline.books.receivables import open_invoices_of
from billing_pipeline.charging.customer_payments import payment_methods_of
from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.comparison.explain import explain_invoice
from billing_pipeline.comparison.explained import Explained
from billing_pipeline.core.errors import UserError
from billing_pipeline.customers.contracts import contracts_of
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.invoicing.credits import credit_balances, credit_entries, list_grants
from billing_pipeline.invoicing.reading import list_invoices
from billing_pipeline.notices.budgets import list_budgets
from billing_pipeline.pricing.reading import prices_of_customer, terms_of_customer
from billing_pipeline.web.pages.portal_pages import PortalPages
from billing_pipeline.web.pages.sessions import Visitor

ROWS = 100


@dataclass(frozen=True, slots=True)
class Portal(PortalPages):
    """The pages that change nothing."""

    def overview(self, request: Request, visitor: Visitor) -> Response:
        """What is due, what the running period costs so far and will cost, and the newest invoices."""
        customer_id = self.customer_id(visitor)
        return self.page(
            "portal/overview.html",
            request,
            visitor,
            due=open_invoices_of(self.door.warehouse, customer_id),
            running=estimate(self.door.warehouse, [customer_id], now=self.clock(), by_day=True),
            one_day=timedelta(days=1),
            budgets=list_budgets(self.door.warehouse, customer_id=customer_id),
            rows=self._invoices(visitor, 5),
        )

    def invoices(self, request: Request, visitor: Visitor) -> Response:
        """All that were issued, the newest first."""
        return self.page("portal/invoices.html", request, visitor, rows=self._invoices(visitor, ROWS))

    def invoice(self, request: Request, visitor: Visitor) -> Response:
        """One invoice line by line, each open to what was measured and how it was priced; and paying it."""
        number = request.path_params["number"]
        if not self.is_own(visitor, number):
            return self.not_found(request, visitor)
        customer_id = self.customer_id(visitor)
        story = invoice_story(self.door.warehouse, number)
        due = [row for row in open_invoices_of(self.door.warehouse, customer_id) if row["number"] == number]
        return self.page(
            "portal/invoice.html",
            request,
            visitor,
            story=story,
            invoice=story.invoice,
            explained=self._explained(number),
            due=due[0] if due else None,
            methods=payment_methods_of(self.door.warehouse, customer_id),
        )

    def plan(self, request: Request, visitor: Visitor) -> Response:
        """The contract, and the prices that hold for this customer."""
        customer_id = self.customer_id(visitor)
        currency = read_customer(self.door.warehouse, customer_id)["currency"]
        return self.page(
            "portal/plan.html",
            request,
            visitor,
            contracts=contracts_of(self.door.warehouse, customer_id)[::-1],
            prices=prices_of_customer(self.door.warehouse, customer_id, currency),
            terms=terms_of_customer(self.door.warehouse, customer_id, currency),
        )

    def credits(self, request: Request, visitor: Visitor) -> Response:
        """Prepaid credits: what is left of each grant, and how they were used up."""
        customer_id = self.customer_id(visitor)
        return self.page(
            "portal/credits.html",
            request,
            visitor,
            balances=credit_balances(self.door.warehouse, customer_id),
            grants=list_grants(self.door.warehouse, customer_id=customer_id),
            entries=credit_entries(self.door.warehouse, customer_id),
            now=self.clock(),
        )

    def _invoices(self, visitor: Visitor, limit: int) -> list[dict[str, Any]]:
        rows = list_invoices(self.door.warehouse, customer_id=self.customer_id(visitor), limit=limit)
        return [row for row in rows if row["number"] is not None]

    def _explained(self, number: str) -> Explained | None:
        """The invoice computed again; None where that cannot be: no reason to keep it from its customer."""
        try:
            return explain_invoice(self.door.warehouse, number)
        except UserError:
            return None
