"""Payments of invoices at Stripe, the charges behind them, and invoices as the books see them."""

from collections.abc import Iterator
from typing import Any

from billing_pipeline.stripe_gateway.calls import StripeCalls, id_of
from billing_pipeline.stripe_gateway.rules.objects import ListedBook, Payment, StripeCharge
from billing_pipeline.stripe_gateway.values import id_or_none, instant, instant_or_none


class PaymentCalls(StripeCalls):
    """Read what was collected."""

    def retrieve_charge(self, charge_id: str) -> StripeCharge:
        """A charge as it is now."""
        return self.retrieve("charges", _charge, charge_id)

    def retrieve_payment(self, payment_id: str) -> Payment:
        """A payment of an invoice as it is now."""
        return self.retrieve("invoice_payments", payment_of, payment_id)

    def invoice_of_payment_intent(self, payment_intent_id: str) -> str | None:
        """Id at Stripe of the invoice that a payment intent pays; None if it pays none."""
        params = {"payment": {"type": "payment_intent", "payment_intent": payment_intent_id}}
        found = [id_of(body["invoice"]) for body in self.pages("/v1/invoice_payments", params)]
        return found[0] if found else None

    def list_books(self, created_gte: int) -> Iterator[ListedBook]:
        """All invoices created at or after a Unix time, newest first."""
        return (_book(body) for body in self.pages("/v1/invoices", {"created": {"gte": created_gte}}))

    def list_payments(self, created_gte: int) -> Iterator[Payment]:
        """All payments of invoices created at or after a Unix time, newest first."""
        return (payment_of(body) for body in self.pages("/v1/invoice_payments", {"created": {"gte": created_gte}}))


def payment_of(body: dict[str, Any]) -> Payment:
    """An invoice payment's JSON."""
    return Payment(
        payment_id=body["id"],
        stripe_invoice_id=id_of(body["invoice"]),
        payment_intent_id=id_or_none(body["payment"].get("payment_intent")),
        requested_minor=body["amount_requested"],
        paid_minor=body["amount_paid"] or 0,
        currency=body["currency"],
        status=body["status"],
        created_at=instant(body["created"]),
        paid_at=instant_or_none(body["status_transitions"]["paid_at"]),
    )


def _charge(body: dict[str, Any]) -> StripeCharge:
    return StripeCharge(body["id"], id_or_none(body.get("payment_intent")))


def _book(body: dict[str, Any]) -> ListedBook:
    metadata = body["metadata"] or {}
    return ListedBook(
        stripe_invoice_id=body["id"],
        invoice_id=metadata.get("invoice_id"),
        billing_month=metadata.get("billing_month"),
        stripe_customer_id=id_of(body["customer"]),
        status=body["status"],
        currency=body["currency"],
        total_minor=body["total"],
        due_minor=body["amount_due"],
        paid_minor=body["amount_paid"],
        off_stripe_minor=body.get("amount_paid_off_stripe") or 0,
    )
