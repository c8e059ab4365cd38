"""A platform whose usage is billed and charged month by month: everything between the events and Stripe, for real.

Only the gates are entered as passed; what they check is tested elsewhere.
"""

from datetime import date
from typing import Any

from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import Finalised, finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests import month_rows
from billing_pipeline_tests.charging.world import KEY, Bill, Emulated
from billing_pipeline_tests.killed_process import killed
from billing_pipeline_tests.month_rows import OCTOBER, Event, add_customer, add_usage, at


class Platform:
    """Customers with usage, and what became of their invoices here and at Stripe."""

    def __init__(self, warehouse: Warehouse, stripe_side: Emulated, events: int = 0) -> None:
        """`events`: so many usage events are there."""
        self.warehouse = warehouse
        self.stripe = stripe_side
        self.events = events

    def customer(self, customer_id: str, card: str | None = "pm_card_visa", **values: Any) -> None:
        at_stripe = self.stripe.customer(Bill(customer_id, card=card))
        add_customer(self.warehouse, customer_id, stripe_customer_id=at_stripe, **values)

    def use(self, customer_id: str, calls: int, day: str = "2025-10-15", **options: Any) -> str:
        """Calls at 0.015 after the first ten of a month."""
        self.events += 1
        event_id = f"e{self.events}"
        add_usage(self.warehouse, [Event(event_id, customer_id, "calls", calls, at(day), **options)])
        return event_id

    def draft(self, month: date = OCTOBER) -> None:
        """What `bill_month` does."""
        month_rows.bill(self.warehouse, month)
        month_rows.pass_gates(self.warehouse, month)

    def finalise(self, month: date = OCTOBER, **options: Any) -> Finalised:
        return finalise_month(self.warehouse, month, "run", **options)

    def charge(self, month: date = OCTOBER) -> None:
        """What `charge_month` does."""
        self.finalise(month)
        charge_invoices_of_month(self.warehouse, self.gateway(), month, "run", RunOptions(workers=2))

    def bill(self, month: date = OCTOBER) -> None:
        """Draft, finalise and charge."""
        self.draft(month)
        self.charge(month)

    def look(self, month: date = OCTOBER) -> None:
        """What a later run of a billed month does: measure again and compare."""
        self.draft(month)
        billing_drift.build(self.warehouse, month, "look")

    def gateway(self) -> StripeGateway:
        return StripeGateway(KEY, self.stripe.base_url, timeout_s=(5, 20), sleep=lambda _: None)

    def invoices(self, customer_id: str, month: date = OCTOBER) -> list[dict[str, Any]]:
        return self.warehouse.rows(
            "SELECT i.*, c.state, c.stripe_invoice_id FROM billing.invoices AS i"
            " LEFT JOIN billing.stripe_charges AS c USING (invoice_id)"
            " WHERE i.customer_id = :c AND i.billing_month = :m ORDER BY i.supplement_no, i.revision",
            c=customer_id,
            m=month,
        )

    def paid_minor(self, customer_id: str) -> int:
        """What the customer has really paid at Stripe and not got back."""
        at_stripe = self.warehouse.scalar(
            "SELECT stripe_customer_id FROM billing.customers WHERE customer_id = :c", c=customer_id
        )
        charges = self.stripe.api.charges.list({"limit": 100, "customer": at_stripe}).auto_paging_iter()
        return sum(charge.amount - charge.amount_refunded for charge in charges if charge.paid)

    def killed(self, operation: str, when: str, action: str, *arguments: str) -> None:
        """The action in a process that dies at the operation."""
        killed(self.warehouse, self.stripe.base_url, operation, when, action, *arguments)
