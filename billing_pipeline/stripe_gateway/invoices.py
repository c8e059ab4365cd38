"""Invoices at Stripe, with what became of their payment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import stripe

from billing_pipeline.stripe_gateway.calls import StripeCalls, id_of, options
from billing_pipeline.stripe_gateway.payments import payment_of
from billing_pipeline.stripe_gateway.rules.api import (
    PAYMENT_UNDER_WAY,
    WAITS_FOR_TRANSFER,
    ListedInvoice,
    StripeInvoice,
    takes_days,
)
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

    def mark_uncollectible(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """Give an open invoice up: nothing asks for it any more, though it may still be paid or voided."""
        invoices = self._stripe.v1.invoices
        return self.object_of(
            "invoices.mark_uncollectible",
            _invoice,
            lambda: invoices.mark_uncollectible(stripe_id, {}, options(key)),
        )

    def delete_invoice(self, stripe_id: str, *, key: str) -> None:
        """Delete a draft; Stripe refuses it for any other."""
        invoices = self._stripe.v1.invoices
        self.call("invoices.delete", lambda: invoices.delete(stripe_id, {}, options(key)))


def _invoice(body: dict[str, Any]) -> StripeInvoice:
    payment = _payment(body)
    return StripeInvoice(
        id=body["id"],
        invoice_id=(body["metadata"] or {}).get("invoice_id"),
        customer_id=id_of(body["customer"]),
        status=body["status"],
        currency=body["currency"],
        total_minor=body["total"],
        has_lines=bool(body["lines"]["data"]),
        payment_status=payment.status,
        refusal=payment.refusal,
        remaining_minor=body["amount_remaining"],
        paid_minor=body["amount_paid"],
        off_stripe_minor=body.get("amount_paid_off_stripe") or 0,
        payment_intent_id=payment.intent_id,
        payments=tuple(payment_of(one) for one in _payments(body)),
        revision_id=id_of(body["latest_revision"]) if body.get("latest_revision") else None,
        page_url=body.get("hosted_invoice_url"),
        pdf_url=body.get("invoice_pdf"),
    )


def _facts(body: dict[str, Any]) -> InvoiceFacts:
    invoice = _invoice(body)
    return InvoiceFacts(invoice, body["attempt_count"], body["amount_paid"], invoice.payments)


def _payments(body: dict[str, Any]) -> list[dict[str, Any]]:
    return (body.get("payments") or {}).get("data") or []


@dataclass(frozen=True, slots=True)
class _Expected:
    """The payment intent that money is expected from, and its last refusal."""

    intent_id: str | None = None
    status: str | None = None
    refusal: tuple[str, str | None, str | None] | None = None


def _payment(body: dict[str, Any]) -> _Expected:
    """What is expected, where the answer was expanded to hold payment intents: one under way, or else the newest.

    A payment that is paid counts once the invoice is: before that it is a part of the money.
    """
    done = ("canceled",) if body["status"] == "paid" else ("canceled", "paid")
    opened = [
        (one["created"], one["payment"].get("payment_intent")) for one in _payments(body) if one["status"] not in done
    ]
    expanded = [(created, _expected(intent)) for created, intent in opened if isinstance(intent, dict)]
    if not expanded:
        return _Expected()
    return max(expanded, key=lambda pair: (pair[1].status in PAYMENT_UNDER_WAY, pair[0]))[1]


def _expected(intent: dict[str, Any]) -> _Expected:
    status = intent["status"]
    error = intent.get("last_payment_error")
    if status == "requires_action":
        action = (intent.get("next_action") or {}).get("type") or ""
        if action in WAITS_FOR_TRANSFER:
            return _Expected(intent["id"], "awaiting_transfer")
        if error is None:
            return _Expected(intent["id"], status, ("card", "authentication_required", None))
    if error is None:
        return _Expected(intent["id"], status)
    kind = "debit" if takes_days((error.get("payment_method") or {}).get("type")) else "card"
    return _Expected(intent["id"], status, (kind, error.get("code"), error.get("decline_code")))
