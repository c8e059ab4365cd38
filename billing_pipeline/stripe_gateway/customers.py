"""Customers at Stripe."""

from collections.abc import Iterator
from typing import Any

from billing_pipeline.stripe_gateway.calls import StripeCalls, options
from billing_pipeline.stripe_gateway.rules.api import StripeCustomer


class CustomerCalls(StripeCalls):
    """List, create and retrieve customers."""

    def list_customers(self, email: str | None = None) -> Iterator[StripeCustomer]:
        """All customers, or those with this very address, newest first."""
        params = {} if email is None else {"email": email}
        return (_customer(body) for body in self.pages("/v1/customers", params))

    def create_customer(self, customer_id: str, name: str, email: str, *, key: str) -> StripeCustomer:
        """A customer whose metadata holds our key."""
        customers = self._stripe.v1.customers
        return self.object_of(
            "customers.create",
            _customer,
            lambda: customers.create(
                {"name": name, "email": email, "metadata": {"customer_id": customer_id}}, options(key)
            ),
        )

    def claim_customer(self, stripe_customer_id: str, customer_id: str, *, key: str) -> StripeCustomer:
        """Write our key into the metadata of a customer that is there already."""
        customers = self._stripe.v1.customers
        return self.object_of(
            "customers.update",
            _customer,
            lambda: customers.update(stripe_customer_id, {"metadata": {"customer_id": customer_id}}, options(key)),
        )

    def customer_is_used(self, stripe_customer_id: str) -> bool:
        """Whether there is anything of the customer's: an invoice or a payment method."""
        return any(
            True
            for path in ("/v1/invoices", "/v1/payment_methods")
            for _ in self.pages(path, {"customer": stripe_customer_id})
        )

    def retrieve_customer(self, stripe_customer_id: str) -> StripeCustomer:
        """A customer as it is now; a deleted one is marked so."""
        return self.retrieve("customers", _customer, stripe_customer_id)


def _customer(body: dict[str, Any]) -> StripeCustomer:
    settings = body.get("invoice_settings") or {}
    return StripeCustomer(
        body["id"],
        (body.get("metadata") or {}).get("customer_id"),
        deleted=bool(body.get("deleted")),
        has_payment_method=bool(settings.get("default_payment_method") or body.get("default_source")),
    )
