"""What corrections need of Stripe beyond what charging does: voiding, crediting, repaying, writing off, relinking."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from billing_pipeline.stripe_gateway.rules.api import (
    RetrievingApi,
    StripeApi,
    StripeCreditNote,
    StripeCustomer,
    StripeInvoice,
)


class CreditNoteApi(RetrievingApi, Protocol):
    """What issuing credit notes needs beside the invoices."""

    def credit_notes_of(self, stripe_invoice_id: str) -> Iterator[StripeCreditNote]:
        """All credit notes of an invoice."""
        ...

    def create_credit_note(self, note: Mapping[str, Any], *, key: str) -> StripeCreditNote:
        """A credit note, from a frozen request; a refund or a balance transaction comes with it, or nothing does."""
        ...


class RepayingApi(Protocol):
    """What giving back the money of a failed refund needs. `repays` is metadata: the id of the refund that failed."""

    def repaid_to_balance(self, stripe_customer_id: str, repays: str) -> str | None:
        """The id of the balance transaction that does it, if there is one."""
        ...

    def repay_to_balance(
        self, stripe_customer_id: str, amount_minor: int, currency: str, repays: str, *, key: str
    ) -> str:
        """A credit on the customer's balance, which Stripe applies to the next invoice; its id."""
        ...

    def repaid_to_card(self, payment_intent_id: str, repays: str) -> str | None:
        """The id of the other refund that does it, if there is one."""
        ...

    def repay_to_card(self, payment_intent_id: str, amount_minor: int, repays: str, *, key: str) -> str:
        """Another refund of the payment; its id."""
        ...


class VoidingApi(StripeApi, Protocol):
    """What taking an invoice back needs beyond charging it."""

    def void_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """Void an open or uncollectible invoice."""
        ...

    def delete_invoice(self, stripe_id: str, *, key: str) -> None:
        """Delete a draft."""
        ...


class WritingOffApi(RetrievingApi, Protocol):
    """What giving an invoice up needs."""

    def mark_uncollectible(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """Give an open invoice up."""
        ...


class RelinkingApi(VoidingApi, Protocol):
    """What giving a customer another customer at Stripe needs beyond that."""

    def claim_customer(self, stripe_customer_id: str, customer_id: str, *, key: str) -> StripeCustomer:
        """Write our key into the metadata of a customer that is there already."""
        ...
