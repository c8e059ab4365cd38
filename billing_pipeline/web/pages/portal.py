"""The customer's own pages. Whatever is read is read for the one customer of the session."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.books.invoice_story import invoice_story
from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.comparison.explain import explain_invoice
from billing_pipeline.comparison.explained import Explained
from billing_pipeline.core.errors import UserError
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.invoicing.reading import list_invoices
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.web.pages.rendering import page
from billing_pipeline.web.pages.sessions import DoorOfPages, Visitor, reader_of

ROWS = 100


@dataclass(frozen=True, slots=True)
class Portal:
    """The pages; `clock` says what time it is."""

    door: DoorOfPages
    clock: Callable[[], datetime]

    def overview(self, request: Request, visitor: Visitor) -> Response:
        """What is due, what the running period costs so far and will cost, and the newest invoices."""
        customer_id = self._customer(visitor)["customer_id"]
        due = self.door.warehouse.rows(
            "SELECT number, remaining_minor, currency, charge_state FROM billing.receivables"
            " WHERE customer_id = :id AND remaining_minor > 0 ORDER BY finalised_at",
            id=customer_id,
        )
        running = estimate(self.door.warehouse, [customer_id], now=self.clock(), by_day=True)
        return self._page(
            "portal/overview.html",
            request,
            visitor,
            due=due,
            running=running,
            one_day=timedelta(days=1),
            rows=self._invoices(visitor, 5),
        )

    def invoices(self, request: Request, visitor: Visitor) -> Response:
        """All that were issued, the newest first."""
        return self._page("portal/invoices.html", request, visitor, rows=self._invoices(visitor, ROWS))

    def invoice(self, request: Request, visitor: Visitor) -> Response:
        """One invoice line by line, each open to what was measured and how it was priced."""
        number = request.path_params["number"]
        if number not in {row["number"] for row in self._own(visitor, number)}:
            return self._page("portal/not_found.html", request, visitor, status=404)
        story = invoice_story(self.door.warehouse, number)
        explained = _explained(self, number)
        return self._page(
            "portal/invoice.html", request, visitor, story=story, invoice=story.invoice, explained=explained
        )

    def plan(self, request: Request, visitor: Visitor) -> Response:
        """The contract, and the prices that hold for this customer."""
        customer = self._customer(visitor)
        contracts = self.door.warehouse.rows(
            "SELECT starts_on, ends_on, plan FROM billing.contracts WHERE customer_id = :id ORDER BY starts_on DESC",
            id=customer["customer_id"],
        )
        prices = self.door.warehouse.rows(
            load_sql("pricing/prices_of_customer.sql"),
            customer_id=customer["customer_id"],
            currency=customer["currency"],
        )
        return self._page("portal/plan.html", request, visitor, contracts=contracts, prices=prices)

    def _customer(self, visitor: Visitor) -> dict[str, Any]:
        return read_customer(self.door.warehouse, str(visitor.session.customer_id))

    def _invoices(self, visitor: Visitor, limit: int) -> list[dict[str, Any]]:
        rows = list_invoices(self.door.warehouse, customer_id=visitor.session.customer_id, limit=limit)
        return [row for row in rows if row["number"] is not None]

    def _own(self, visitor: Visitor, number: str) -> list[dict[str, Any]]:
        return self.door.warehouse.rows(
            "SELECT number FROM billing.invoices WHERE number = :number AND customer_id = :id",
            number=number,
            id=visitor.session.customer_id,
        )

    def _page(self, template: str, request: Request, visitor: Visitor, *, status: int = 200, **values: Any) -> Response:
        customer = self._customer(visitor)
        reader = reader_of(request, customer.get("language"), customer["timezone"])
        asked = request.query_params.get("lang")
        cookie = {"Set-Cookie": f"billing_language={reader.language}; Path=/portal; SameSite=Lax"} if asked else {}
        return page(
            template,
            reader,
            status=status,
            frame_ancestors=self.door.frame_ancestors,
            more_headers=cookie,
            visitor=visitor,
            session=visitor.session,
            customer=customer,
            path=request.url.path,
            **values,
        )


def _explained(portal: Portal, number: str) -> Explained | None:
    """The invoice computed again; None where it cannot be, which is no reason to keep the invoice from its customer."""
    try:
        return explain_invoice(portal.door.warehouse, number)
    except UserError:
        return None
