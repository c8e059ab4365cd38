"""What Stripe's objects say, as plain values: the parts that processing events and comparing books need.

Times are instants by Stripe's clock; amounts are in minor units of `currency`. The tables `stripe_payments`,
`stripe_refunds`, … have the same columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from billing_pipeline.stripe_gateway.rules.api import Payment, StripeInvoice

__all__ = [
    "CreditNote", "CustomerFacts", "Dispute", "InvoiceFacts", "ListedBook", "Payment", "PaymentMethod", "Refund",
    "StripeCharge", "StripeObjects", "Subscription",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """An invoice with how often Stripe tried to collect it, what was collected, and its newest payments."""

    invoice: StripeInvoice
    attempt_count: int
    paid_minor: int
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class ListedBook:
    """An invoice as the comparison of books lists it.

    `paid_minor` is what was collected for it, `off_stripe_minor` the part of that which no payment at Stripe covers.
    """

    stripe_invoice_id: str
    invoice_id: str | None
    billing_month: str | None
    stripe_customer_id: str
    status: str
    currency: str
    total_minor: int
    due_minor: int
    paid_minor: int
    off_stripe_minor: int


@dataclass(frozen=True, slots=True)
class StripeCharge:
    """A charge of a card: how a refund or a dispute finds its invoice."""

    charge_id: str
    payment_intent_id: str | None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund of a charge."""

    refund_id: str
    payment_intent_id: str | None
    charge_id: str | None
    amount_minor: int
    currency: str
    status: str
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CreditNote:
    """A credit note for an invoice."""

    credit_note_id: str
    stripe_invoice_id: str
    number: str
    total_minor: int
    pre_payment_minor: int
    post_payment_minor: int
    currency: str
    status: str
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute of a charge, or an inquiry about it.

    `taken_back_minor`: what the bank has of the amount at the moment, withdrawn and not reinstated. An inquiry takes
    nothing.
    """

    dispute_id: str
    payment_intent_id: str | None
    charge_id: str
    amount_minor: int
    currency: str
    status: str
    reason: str
    created_at: datetime
    taken_back_minor: int = 0


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """A customer; of a deleted one Stripe only says so."""

    stripe_customer_id: str
    customer_id: str | None
    """Our key, from its metadata."""
    default_payment_method_id: str | None
    delinquent: bool
    status: str


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """A payment method; `stripe_customer_id` is None once it is detached."""

    payment_method_id: str
    stripe_customer_id: str | None
    type: str
    brand: str | None
    last4: str | None
    expires_on: date | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription."""

    subscription_id: str
    stripe_customer_id: str
    status: str
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    created_at: datetime


class DisputeApi(Protocol):
    """What giving a dispute up needs."""

    def retrieve_dispute(self, dispute_id: str) -> Dispute:
        """A dispute as it is now."""
        ...

    def accept_dispute(self, dispute_id: str, *, key: str) -> Dispute:
        """Give it up: it is lost at once, and for good."""
        ...


class StripeObjects(Protocol):
    """The operations that read them. Each raises StripeFailure for any answer but success.

    Lists go through every page of what was created at or after a Unix time.
    """

    def retrieve_invoice_facts(self, stripe_id: str) -> InvoiceFacts:
        """An invoice as it is now, with its payments."""
        ...

    def retrieve_payment(self, payment_id: str) -> Payment:
        """A payment of an invoice as it is now."""
        ...

    def retrieve_charge(self, charge_id: str) -> StripeCharge:
        """A charge as it is now."""
        ...

    def retrieve_refund(self, refund_id: str) -> Refund:
        """A refund as it is now."""
        ...

    def retrieve_credit_note(self, credit_note_id: str) -> CreditNote:
        """A credit note as it is now."""
        ...

    def retrieve_dispute(self, dispute_id: str) -> Dispute:
        """A dispute as it is now."""
        ...

    def retrieve_customer_facts(self, stripe_customer_id: str) -> CustomerFacts:
        """A customer as it is now."""
        ...

    def retrieve_payment_method(self, payment_method_id: str) -> PaymentMethod:
        """A payment method as it is now."""
        ...

    def retrieve_subscription(self, subscription_id: str) -> Subscription:
        """A subscription as it is now."""
        ...

    def refunds_of_charge(self, charge_id: str) -> Iterator[Refund]:
        """All refunds of a charge."""
        ...

    def invoice_of_payment_intent(self, payment_intent_id: str) -> str | None:
        """Id at Stripe of the invoice that a payment intent pays; None if it pays none."""
        ...

    def list_books(self, created_gte: int) -> Iterator[ListedBook]:
        """Invoices with their amounts."""
        ...

    def list_payments(self, created_gte: int) -> Iterator[Payment]:
        """Payments of invoices."""
        ...

    def list_refunds(self, created_gte: int) -> Iterator[Refund]:
        """Refunds."""
        ...

    def list_credit_notes(self, created_gte: int) -> Iterator[CreditNote]:
        """Credit notes."""
        ...

    def list_disputes(self, created_gte: int) -> Iterator[Dispute]:
        """Disputes."""
        ...

    def list_events(self, created_gte: int) -> Iterator[dict[str, Any]]:
        """Events, as Stripe's JSON; it keeps them for 30 days."""
        ...

    def close(self) -> None:
        """Give back the calling thread's connection."""
        ...
