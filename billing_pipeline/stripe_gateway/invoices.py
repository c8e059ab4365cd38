"""Invoices at Stripe, with what became of their payment."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import stripe

from billing_pipeline.stripe_gateway.calls import StripeCalls, id_of, options
from billing_pipeline.stripe_gateway.payments import payment_of
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice, StripeInvoice
from billing_pipeline.stripe_gateway.rules.objects import InvoiceFacts

# Without the payment intent the answer would not say what became of the last attempt to pay.
_EXPAND_PAYMENT = ["payments.data.payment.payment_intent"]


class InvoiceCalls(StripeCalls):
    """The operations of the charging sequence."""

    def list_invoices(self, created_gte: int, customer: str | None = None) -> Iterator[ListedInvoice]:
        """All invoices created at or after a Unix time, newest first."""
        params: dict[str, Any] = {"created": {"gte": created_gte}}
        if customer is not None:
            params["customer"] = customer
        for body in self.pages("/v1/invoices", params):
            yield ListedInvoice(
                body["id"],
                (body["metadata"] or {}).get("invoice_id"),
                body["status"],
                body["total"],
                body["currency"],
                id_of(body["customer"]),
            )

    def create_invoice(self, invoice: Mapping[str, Any], customer: str, *, key: str) -> StripeInvoice:
        """A draft for the customer."""
        params = cast("stripe.params.InvoiceCreateParams", {**invoice, "customer": customer})
        invoices = self._stripe.v1.invoices
        return self.object_of("invoices.create", _invoice, lambda: invoices.create(params, options(key)))

    def add_lines(self, stripe_id: str, lines: Sequence[Mapping[str, Any]], *, key: str) -> StripeInvoice:
        """All lines in one call."""
        params = cast("stripe.params.InvoiceAddLinesParams", {"lines": [dict(line) for line in lines]})
        invoices = self._stripe.v1.invoices
        return self.object_of(
            "invoices.add_lines", _invoice, lambda: invoices.add_lines(stripe_id, params, options(key))
        )

    def retrieve_invoice(self, stripe_id: str) -> StripeInvoice:
        """An invoice as it is now, with the state of its newest payment."""
        return self.retrieve("invoices", _invoice, stripe_id, _EXPAND_PAYMENT)

    def retrieve_invoice_facts(self, stripe_id: str) -> InvoiceFacts:
        """An invoice as it is now, with its newest payments (Stripe embeds up to ten)."""
        return self.retrieve("invoices", _facts, stripe_id, _EXPAND_PAYMENT)

    def finalize_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """Finalise it, without Stripe's own collection."""
        invoices = self._stripe.v1.invoices
        return self.object_of(
            "invoices.finalize",
            _invoice,
            lambda: invoices.finalize_invoice(stripe_id, {"auto_advance": False}, options(key)),
        )

    def pay_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """One attempt with the customer's default payment method."""
        invoices = self._stripe.v1.invoices
        return self.object_of(
            "invoices.pay",
            _invoice,
            lambda: invoices.pay(stripe_id, {"expand": _EXPAND_PAYMENT}, options(key)),
        )

    def void_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """Void an open or uncollectible invoice: it keeps its number and can never be paid."""
        invoices = self._stripe.v1.invoices
        return self.object_of("invoices.void", _invoice, lambda: invoices.void_invoice(stripe_id, {}, options(key)))

    def delete_invoice(self, stripe_id: str, *, key: str) -> None:
        """Delete a draft; Stripe refuses it for any other."""
        invoices = self._stripe.v1.invoices
        self.call("invoices.delete", lambda: invoices.delete(stripe_id, {}, options(key)))


def _invoice(body: dict[str, Any]) -> StripeInvoice:
    status, refusal = _payment(body)
    return StripeInvoice(
        id=body["id"],
        invoice_id=(body["metadata"] or {}).get("invoice_id"),
        customer_id=id_of(body["customer"]),
        status=body["status"],
        currency=body["currency"],
        total_minor=body["total"],
        has_lines=bool(body["lines"]["data"]),
        payment_status=status,
        refusal=refusal,
        remaining_minor=body["amount_remaining"],
        paid_minor=body["amount_paid"],
        off_stripe_minor=body.get("amount_paid_off_stripe") or 0,
    )


def _facts(body: dict[str, Any]) -> InvoiceFacts:
    payments = (body.get("payments") or {}).get("data") or []
    return InvoiceFacts(
        _invoice(body), body["attempt_count"], body["amount_paid"], tuple(payment_of(one) for one in payments)
    )


def _payment(body: dict[str, Any]) -> tuple[str | None, tuple[str, str | None, str | None] | None]:
    """Status and refusal of the newest payment intent, where the answer was expanded to hold it."""
    payments = (body.get("payments") or {}).get("data") or []
    intents = [(p["created"], p["payment"].get("payment_intent")) for p in payments if p["status"] != "canceled"]
    expanded = [(created, intent) for created, intent in intents if isinstance(intent, dict)]
    if not expanded:
        return None, None
    intent = max(expanded, key=lambda pair: pair[0])[1]
    error = intent.get("last_payment_error")
    if error is not None:
        return intent["status"], ("card", error.get("code"), error.get("decline_code"))
    if intent["status"] == "requires_action":
        return intent["status"], ("card", "authentication_required", None)
    return intent["status"], None
