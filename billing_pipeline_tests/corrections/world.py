"""A month that was charged, and the questions that tests of corrections ask of it and of Stripe."""

from typing import Any

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_notes import IssuedNote, issue_credit_note
from billing_pipeline_tests.charging.world import Bill, World, invoice_id_of
from billing_pipeline_tests.killed_process import killed


class CorrectingWorld(World):
    """Charged invoices, one a customer."""

    def charged(self, *bills: Bill) -> None:
        self.bill(*bills)
        self.charge()

    def number_of(self, customer_id: str) -> str:
        return str(
            self.warehouse.scalar(
                "SELECT number FROM billing.invoices WHERE invoice_id = :id", id=invoice_id_of(customer_id)
            )
        )

    def credit(self, customer_id: str, amount_minor: int | None = None, **options: Any) -> IssuedNote:
        given = {"author": "ann", "reason": "goodwill", **options}
        signature = Signature(given.pop("author"), given.pop("reason"))
        return issue_credit_note(
            self.warehouse, self.gateway(), invoice_id_of(customer_id), signature, amount_minor=amount_minor, **given
        )

    def notes(self, customer_id: str) -> list[dict[str, Any]]:
        return self.warehouse.rows(
            "SELECT * FROM billing.credit_notes WHERE customer_id = :c ORDER BY credit_note_number", c=customer_id
        )

    def stripe_invoice(self, customer_id: str) -> Any:
        return self.stripe.api.invoices.retrieve(self.charges()[customer_id]["stripe_invoice_id"])

    def stripe_notes(self, customer_id: str) -> list[Any]:
        listed = self.stripe.api.credit_notes.list({"limit": 100, "invoice": self.stripe_invoice(customer_id).id})
        return list(listed.auto_paging_iter())

    def refunded_minor(self, customer_id: str) -> int:
        """What really went back to the customer's card."""
        customer = self.charges()[customer_id]["stripe_customer_id"]
        charges = self.stripe.api.charges.list({"limit": 100, "customer": customer}).auto_paging_iter()
        return sum(charge.amount_refunded for charge in charges)

    def balance_minor(self, customer_id: str) -> int:
        """What Stripe owes the customer and applies to the next invoice."""
        customer = self.stripe.api.customers.retrieve(self.charges()[customer_id]["stripe_customer_id"])
        return -int(customer.balance or 0)

    def killed(self, operation: str, when: str, action: str, *arguments: str) -> None:
        """The action in a process that dies at the operation."""
        killed(self.warehouse, self.stripe.base_url, operation, when, action, *arguments)
