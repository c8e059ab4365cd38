"""The two sides of a comparison of books, what they differ in, and which of Stripe's invoices is a charge's."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from billing_pipeline.stripe_gateway.rules.objects import CreditNote, Dispute, ListedBook, Payment, Refund


@dataclass(frozen=True, slots=True)
class OurCharge:
    """A charge and its invoice, as our books have them; `number` as printed on it."""

    invoice_id: str
    customer_id: str
    billing_month: str
    state: str
    total_minor: int
    currency: str
    stripe_invoice_id: str | None
    number: str | None = None

    @property
    def name(self) -> str:
        """What people call the invoice."""
        return self.number or self.invoice_id


@dataclass(frozen=True, slots=True)
class Known:
    """What our books have of a payment, refund, credit note or dispute: its invoice, amount, currency and status."""

    invoice_id: str
    amount_minor: int
    currency: str
    status: str


@dataclass(frozen=True, slots=True)
class Books:
    """Both sides of a comparison.

    `charges` by invoice id. `elsewhere`: ids of invoices of ours that are in other months. `months`: what an invoice
    that we do not have is looked for in, None: in all. The mirrors are what events have told us; `young` are ids that
    Stripe has had for so short a time that their events may still be on the way.
    """

    charges: Mapping[str, OurCharge]
    elsewhere: Collection[str]
    months: Collection[str] | None
    payments_here: Mapping[str, Known] | None
    refunds_here: Mapping[str, Known]
    credit_notes_here: Mapping[str, Known]
    invoices: Sequence[ListedBook]
    payments: Sequence[Payment]
    refunds: Sequence[Refund]
    credit_notes: Sequence[CreditNote]
    young: Collection[str] = frozenset()
    adopted: Collection[str] = frozenset()
    """Ids of revisions at Stripe that bill a period instead of an invoice of ours, because a person said so."""
    disputes_here: Mapping[str, Known] = field(default_factory=dict)
    """Their amount is what the bank took back."""
    disputes: Sequence[Dispute] = ()
    decided: Collection[str] = frozenset()
    """Ids of lost disputes about whose money a person has decided."""

    def invoice_of_intents(self) -> dict[str, str]:
        """Our invoice by the payment intent that pays the charge's invoice at Stripe."""
        ours = {one.stripe_invoice_id: one.invoice_id for one in self.charges.values() if one.stripe_invoice_id}
        return {
            payment.payment_intent_id: ours[payment.stripe_invoice_id]
            for payment in self.payments
            if payment.payment_intent_id is not None and payment.stripe_invoice_id in ours
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the books differ: what it is, what either side says, and what could be done.

    `number` is the invoice's as printed; None: no invoice of ours that is compared has the id.
    """

    object_type: str
    kind: str
    stripe_id: str | None
    invoice_id: str | None
    ours: str | None
    theirs: str | None
    proposed_action: str
    number: str | None = None

    @property
    def invoice_name(self) -> str | None:
        """What people call the invoice."""
        return self.number or self.invoice_id


def standing_for(charge: OurCharge, there: Sequence[ListedBook]) -> ListedBook | None:
    """The invoice at Stripe that is our charge's: by the id that it remembers, or the only live one."""
    if charge.stripe_invoice_id is not None:
        return next((one for one in there if one.stripe_invoice_id == charge.stripe_invoice_id), None)
    live = [one for one in there if one.status != "void"]
    return live[0] if len(live) == 1 else None
