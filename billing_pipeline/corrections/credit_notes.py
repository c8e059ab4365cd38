"""Issuing a credit note: asked of Stripe first, decided and frozen in one transaction, then sent.

How the amount is taken back is corrections/rules/crediting.py's; sending is credit_note_sending.py's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.charging.follow_stripe import follow_stripe
from billing_pipeline.charging.store import ChargeStore
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_note_pass import Sent
from billing_pipeline.corrections.credit_note_sending import send_and_follow
from billing_pipeline.corrections.credit_note_store import NewCreditNote, insert_credit_note
from billing_pipeline.corrections.rules.crediting import (
    BALANCE,
    DESTINATIONS,
    ELSEWHERE,
    REFUND,
    CreditLine,
    Split,
    credit_note_id,
    split,
)
from billing_pipeline.invoicing.invoice_reference import NamedInvoice, find_invoice
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.correcting_api import CreditNoteApi


class CreditRefused(UserError):  # noqa: N818 - reads as what happened
    """The invoice cannot be credited like this; the text says why. Nothing was issued."""


@dataclass(frozen=True, slots=True)
class IssuedNote:
    """A credit note of ours and how far it is at Stripe."""

    number: str
    invoice: NamedInvoice
    amount_minor: int
    parts: Split
    sent: Sent


@dataclass(frozen=True, slots=True)
class Creditable:
    """What may be taken back of an invoice right now, by our books and Stripe's word; in minor units.

    `off_stripe_minor` is the part of `paid_minor` that never came through Stripe, and is not refundable there.
    """

    invoice: NamedInvoice
    left_minor: int
    remaining_minor: int
    paid_minor: int
    stripe_invoice_id: str
    off_stripe_minor: int = 0

    def parts(self, amount_minor: int, to: str) -> Split:
        """Where an amount would go.

        Raises:
            CreditRefused: it is to be refunded, and Stripe never had it.
        """
        refundable = max(0, self.paid_minor - self.off_stripe_minor - self.invoice.refunded_minor)
        to_refund = amount_minor - self.remaining_minor
        if to == REFUND and self.off_stripe_minor and to_refund > refundable:
            wanted, there = (format_minor(minor, self.invoice.currency) for minor in (to_refund, refundable))
            raise CreditRefused(
                f"{self.invoice.label} was paid outside Stripe: of {wanted} only {there} can be refunded there;"
                " `--to balance` keeps it for the next invoice, `--to elsewhere` records that you pay it back yourself"
            )
        return split(amount_minor, remaining_minor=self.remaining_minor, refundable_minor=refundable, to=to)


def issue_credit_note(
    warehouse: Warehouse,
    api: CreditNoteApi,
    reference: str,
    signature: Signature,
    *,
    amount_minor: int | None = None,
    lines: Sequence[CreditLine] = (),
    to: str = REFUND,
) -> IssuedNote:
    """Take back `amount_minor`, or `lines`, or all that is left of an invoice.

    What is still due falls first; what was paid goes back to the card, to the customer's balance, or outside Stripe.
    The credit note's id is derived from invoice, amount, reason and destination: the same command again goes on with
    the same credit note, and a second one needs a reason of its own.

    Raises:
        CreditRefused: the invoice is a draft, void, not at Stripe yet, or has not so much left; or the money never came
            through Stripe and is to be refunded there.
        InvoiceBusy: somebody else is at work on it.
        StripeFailure: Stripe could not be asked; nothing was issued.
    """
    if to not in DESTINATIONS:
        raise CreditRefused(f'to "{to}": expected {REFUND}, {BALANCE} or {ELSEWHERE}')
    invoice = find_invoice(warehouse, reference)
    with exclusive(warehouse, invoice.invoice_id, signature.author, label=invoice.label) as charges:
        asked = [[line.invoice_line_no, line.amount_minor, line.description] for line in lines]
        note_id = credit_note_id(invoice.invoice_id, amount_minor, asked, signature.reason, to)
        known = _known(warehouse, note_id)
        if known is None:
            can = creditable(warehouse, charges, api, reference)
            amount = can.left_minor if amount_minor is None else amount_minor
            wanted = list(lines) or [CreditLine(signature.reason, amount)]
            new = _new_note(can, note_id, wanted, signature, to=to)
            freeze(warehouse, new)
            known = _known(warehouse, note_id)
        sent = send_and_follow(charges, api, note_id, actor=signature.author)
    if known is None:
        raise RuntimeError(f"credit note {note_id} was written and is gone")
    amount, parts = known
    return IssuedNote(sent.number, find_invoice(warehouse, invoice.invoice_id), amount, parts, sent)


def creditable(warehouse: Warehouse, charges: ChargeStore, api: CreditNoteApi, reference: str) -> Creditable:
    """What may be taken back, after asking Stripe; our charge follows what it says. The caller holds the lock.

    Raises:
        CreditRefused: nothing may be credited.
    """
    invoice = find_invoice(warehouse, reference)
    if invoice.status == "draft":
        raise CreditRefused(f"{invoice.label} is not final: correct its usage or prices and bill its month again")
    if invoice.status == "void":
        raise CreditRefused(f"{invoice.label} is void: nothing of it is owed")
    if invoice.stripe_invoice_id is None:
        raise CreditRefused(f"{invoice.label} is not at Stripe yet: charge its month first, or void it")
    seen = api.retrieve_invoice(invoice.stripe_invoice_id)
    follow_stripe(charges, charges.read(invoice.invoice_id).charge, seen)
    invoice = find_invoice(warehouse, invoice.invoice_id)
    _refuse_by_status(invoice, seen)
    return Creditable(
        invoice,
        invoice.due_minor - invoice.credited_minor,
        seen.remaining_minor if seen.status != "paid" else 0,
        min(seen.paid_minor, invoice.due_minor) if seen.status == "paid" else 0,
        invoice.stripe_invoice_id or "",
        seen.off_stripe_minor,
    )


def _refuse_by_status(invoice: NamedInvoice, seen: StripeInvoice) -> None:
    if seen.status == "draft":
        raise CreditRefused(f"{invoice.label} is not final at Stripe yet: charge its month first")
    if seen.status == "void" or invoice.status == "void":
        raise CreditRefused(f"{invoice.label} is void at Stripe: nothing of it is owed")
    if seen.status == "open" and seen.payment_status in ("processing", "requires_capture"):
        raise CreditRefused(f"{invoice.label}: a payment is under way at Stripe; look again when it is through")
    if seen.status != invoice.status:
        raise CreditRefused(
            f"{invoice.label} is {seen.status} at Stripe and {invoice.status} here: charge its month first"
        )


def _new_note(
    can: Creditable, note_id: str, lines: Sequence[CreditLine], signature: Signature, *, to: str
) -> NewCreditNote:
    amount = sum(line.amount_minor for line in lines)
    currency = can.invoice.currency
    if amount <= 0 or any(line.amount_minor <= 0 for line in lines):
        raise CreditRefused(
            f"{can.invoice.label}: nothing of it is left to credit at Stripe{_drawn(can.invoice)}"
            if can.left_minor == 0
            else f"{can.invoice.label}: expected an amount above 0"
        )
    if amount > can.left_minor:
        wanted, left, of = (format_minor(minor, currency) for minor in (amount, can.left_minor, can.invoice.due_minor))
        raise CreditRefused(
            f"{can.invoice.label}: {wanted} is more than the {left} that is left of {of}{_drawn(can.invoice)}"
        )
    parts = can.parts(amount, to)
    return NewCreditNote(
        note_id,
        can.invoice.invoice_id,
        can.stripe_invoice_id,
        lines,
        parts,
        can.paid_minor,
        signature.reason,
        signature.author,
    )


def _drawn(invoice: NamedInvoice) -> str:
    """Where the rest of an invoice is that prepaid credits paid in part."""
    return f"; `billing credits return {invoice.label}` gives back what it drew" if invoice.credits_minor else ""


def freeze(warehouse: Warehouse, new: NewCreditNote) -> str:
    """Write a credit note in a transaction of its own; returns its number.

    Raises:
        CreditRefused: the database refused it, because of another one that came in between.
    """
    try:
        with warehouse.transaction() as connection:
            return insert_credit_note(connection, new)
    except DBAPIError as error:
        raise CreditRefused(f"not credited: {database_reason(error)}") from error


def _known(warehouse: Warehouse, note_id: str) -> tuple[int, Split] | None:
    rows = warehouse.rows(
        "SELECT amount_minor, reduction_minor, refund_minor, balance_minor, elsewhere_minor FROM billing.credit_notes"
        " WHERE credit_note_id = :id",
        id=UUID(note_id),
    )
    if not rows:
        return None
    row = rows[0]
    return row.pop("amount_minor"), Split(**row)
