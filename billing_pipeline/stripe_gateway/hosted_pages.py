"""The pages that Stripe hosts: where a customer pays an invoice, and where the payment method is changed."""

from dataclasses import dataclass
from typing import Any, cast

import stripe

from billing_pipeline.stripe_gateway.calls import StripeCalls


@dataclass(frozen=True, slots=True)
class HostedInvoice:
    """Where an invoice can be paid and its PDF is; None before Stripe has finalised it."""

    url: str | None
    pdf_url: str | None


class HostedPageCalls(StripeCalls):
    """Ask for addresses of Stripe's pages. Whoever has such an address is let in: it is given to the customer alone."""

    def retrieve_hosted_invoice(self, stripe_invoice_id: str) -> HostedInvoice:
        """The pages of an invoice; they stay valid for at least 30 days after it is due."""
        return self.retrieve("invoices", _hosted, stripe_invoice_id)

    def open_payment_methods(self, stripe_customer_id: str, return_url: str) -> str:
        """A page that asks for a payment method and makes it the customer's default; used within minutes.

        Source: https://docs.stripe.com/customer-management/portal-deep-links.
        """
        back = {"type": "redirect", "redirect": {"return_url": return_url}}
        params = cast(
            "stripe.params.billing_portal.SessionCreateParams",
            {
                "customer": stripe_customer_id,
                "return_url": return_url,
                "flow_data": {"type": "payment_method_update", "after_completion": back},
            },
        )
        sessions = self._stripe.v1.billing_portal.sessions
        return self.object_of("billing_portal.sessions.create", _url, lambda: sessions.create(params))


def _hosted(body: dict[str, Any]) -> HostedInvoice:
    return HostedInvoice(body.get("hosted_invoice_url"), body.get("invoice_pdf"))


def _url(body: dict[str, Any]) -> str:
    return str(body["url"])
