"""What charging needs of Stripe: plain values, and the operations as a protocol. Corrections: correcting_api.py.

No HTTP and no type of Stripe's SDK belongs here. stripe_gateway/gateway.py is the real one; tests have their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

PAYMENT_UNDER_WAY = ("processing", "requires_capture", "succeeded", "awaiting_transfer")
"""States of a payment intent whose money may still come or has come, while its payment is not done. `awaiting_transfer`
is ours: Stripe's `requires_action` where the action is a transfer or a voucher, which may take days."""

WAITS_FOR_TRANSFER = frozenset(
    {
        "boleto_display_details", "display_bank_transfer_instructions", "konbini_display_details",
        "multibanco_display_details", "oxxo_display_details", "verify_with_microdeposits",
    }
)  # fmt: skip
"""What a customer was told to do in a bank or a shop, which takes days
(https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action-type)."""

TAKE_DAYS = frozenset(
    {
        "acss_debit", "au_becs_debit", "bacs_debit", "boleto", "customer_balance", "konbini", "multibanco",
        "nz_bank_account", "oxxo", "sepa_debit", "sofort", "us_bank_account",
    }
)  # fmt: skip
"""Types of payment methods whose success or failure Stripe learns days later
(https://docs.stripe.com/payments/payment-methods, "delayed notification")."""


def takes_days(payment_method_type: str | None) -> bool:
    """Whether the answer to a payment with such a method may take days."""
    return payment_method_type in TAKE_DAYS


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment of an invoice (invoice_payment)."""

    payment_id: str
    stripe_invoice_id: str
    payment_intent_id: str | None
    requested_minor: int
    paid_minor: int
    currency: str
    status: str
    created_at: datetime
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice at Stripe. `invoice_id` is its metadata, `total_minor` in minor units of `currency`.

    `payment_status` is that of the payment intent that money is expected from: one that is under way, or else the
    newest of the open payments (None without one, or when it was not asked for); `payment_intent_id` is its id and
    `refusal` (kind, code, decline code) its last refused attempt, kind `debit` where the answer takes days.
    `payments` are those that the answer held: the invoice may be paid in parts. `remaining_minor` is still to be paid,
    `paid_minor` was; `off_stripe_minor` is the part of that which never came through Stripe.
    `revision_id` is the invoice that took its place, by a revision in Stripe's dashboard. `page_url` and `pdf_url` let
    in whoever has them; None before it is finalised.
    """

    id: str
    invoice_id: str | None
    customer_id: str
    status: str | None
    currency: str
    total_minor: int
    has_lines: bool
    payment_status: str | None = None
    refusal: tuple[str, str | None, str | None] | None = None
    remaining_minor: int = 0
    paid_minor: int = 0
    off_stripe_minor: int = 0
    revision_id: str | None = None
    payment_intent_id: str | None = None
    payments: tuple[Payment, ...] = ()
    page_url: str | None = field(default=None, compare=False, repr=False)
    pdf_url: str | None = field(default=None, compare=False, repr=False)

    @property
    def paid_intents(self) -> frozenset[str]:
        """Payment intents whose payments are paid."""
        paid = (one.payment_intent_id for one in self.payments if one.status == "paid")
        return frozenset(intent for intent in paid if intent is not None)


@dataclass(frozen=True, slots=True)
class ListedInvoice:
    """What the bulk listing keeps of an invoice."""

    id: str
    invoice_id: str | None
    status: str | None
    total_minor: int
    currency: str
    customer_id: str

    @property
    def is_live(self) -> bool:
        """Not voided: it may still be paid, or was."""
        return self.status != "void"


@dataclass(frozen=True, slots=True)
class StripeCreditNote:
    """A credit note at Stripe. `credit_note_id` is its metadata; amounts in minor units of `currency`.

    `reduction_minor` is the part that lowered what was still to be paid (`pre_payment_amount`).
    """

    id: str
    credit_note_id: str | None
    stripe_invoice_id: str
    status: str
    currency: str
    amount_minor: int
    reduction_minor: int


@dataclass(frozen=True, slots=True)
class StripeCustomer:
    """A customer at Stripe; `customer_id` is its metadata: our key."""

    id: str
    customer_id: str | None
    deleted: bool = False
    has_payment_method: bool = False


class RetrievingApi(Protocol):
    """What whoever decides about an invoice asks first."""

    def retrieve_invoice(self, stripe_id: str) -> StripeInvoice:
        """An invoice as it is now, with the state of its payment."""
        ...


class StripeApi(RetrievingApi, Protocol):
    """The operations. Each raises StripeFailure for any answer but success; `key` is the idempotency key."""

    @property
    def calls_made(self) -> int:
        """Requests sent so far."""
        ...

    @property
    def callers_waiting(self) -> int | None:
        """Threads that wait for a moment at which they may call; None: nothing limits them."""
        ...

    def list_invoices(self, created_gte: int, customer: str | None = None) -> Iterator[ListedInvoice]:
        """All invoices created at or after a Unix time, of one customer or of all."""
        ...

    def list_customers(self, email: str | None = None) -> Iterator[StripeCustomer]:
        """All customers, or those with this very address."""
        ...

    def create_customer(self, customer_id: str, name: str, email: str, *, key: str) -> StripeCustomer:
        """A customer with our key in its metadata."""
        ...

    def customer_is_used(self, stripe_customer_id: str) -> bool:
        """Whether there is anything of the customer's: an invoice or a payment method."""
        ...

    def retrieve_customer(self, stripe_customer_id: str) -> StripeCustomer:
        """A customer as it is now."""
        ...

    def create_invoice(self, invoice: Mapping[str, Any], customer: str, *, key: str) -> StripeInvoice:
        """A draft, from the `invoice` part of a frozen request."""
        ...

    def add_lines(self, stripe_id: str, lines: Sequence[Mapping[str, Any]], *, key: str) -> StripeInvoice:
        """All lines in one call: either all of them are added or none."""
        ...

    def finalize_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """Make it final; Stripe marks it paid at once if nothing is to be charged."""
        ...

    def pay_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """One attempt to collect it."""
        ...

    def close(self) -> None:
        """Give back the calling thread's connection."""
        ...
