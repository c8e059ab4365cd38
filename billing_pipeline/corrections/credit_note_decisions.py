"""What a person decides about a credit note that is parked: to send it again, or to let it go."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.charging.store import ChargeStore
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_note_pass import Sent
from billing_pipeline.corrections.credit_note_sending import send_and_follow
from billing_pipeline.corrections.credit_note_store import CreditNoteChange, CreditNoteStore
from billing_pipeline.corrections.rules.crediting import CreditNote
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.correcting_api import CreditNoteApi


class NotParked(UserError):  # noqa: N818 - reads as what happened
    """There is nothing to decide about this credit note, or not yet; the text says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A parked credit note whose invoice is locked for us."""

    charges: ChargeStore
    store: CreditNoteStore
    note: CreditNote


def retry_parked(warehouse: Warehouse, api: CreditNoteApi, number: str, signature: Signature) -> Sent:
    """Send a parked credit note again, after looking whether it exists; the old key would repeat its answer.

    Raises:
        NotParked: there is none with this number, or it is not parked.
        InvoiceBusy: somebody else is at work on its invoice.
        StripeFailure: Stripe does not accept the key.
    """
    with _parked(warehouse, number, signature.author) as held:
        held.store.change(
            held.note,
            CreditNoteChange(
                "credit_note.retry", state="intended", attempt=held.note.attempt + 1, log_note=signature.reason
            ),
        )
        return send_and_follow(held.charges, api, held.note.credit_note_id, actor=signature.author, void_is_known=True)


def drop_parked(warehouse: Warehouse, api: CreditNoteApi, number: str, signature: Signature) -> None:
    """Let a parked credit note go: it counts for nothing and keeps its number. Stripe is asked first.

    Raises:
        NotParked: there is none with this number, it is not parked, or one that is ours stands at Stripe.
        InvoiceBusy: somebody else is at work on its invoice.
        StripeFailure: Stripe could not be asked.
    """
    with _parked(warehouse, number, signature.author) as held:
        note = held.note
        standing = sorted(
            found.id
            for found in api.credit_notes_of(note.stripe_invoice_id)
            if found.credit_note_id == note.credit_note_id and found.status != "void"
        )
        if standing:
            raise NotParked(
                f"{note.number} is at Stripe as {', '.join(standing)}: void what is wrong there first,"
                f" or `billing credit retry {note.number}` takes up the one that is right"
            )
        dropped = CreditNoteChange("credit_note.drop", state="refused", reason_code="dropped", reason=signature.reason)
        held.store.change(note, dropped)


@contextmanager
def _parked(warehouse: Warehouse, number: str, author: str) -> Iterator[_Held]:
    found = warehouse.rows(
        "SELECT credit_note_id::text AS id, invoice_id::text AS invoice_id FROM billing.credit_notes"
        " WHERE number = :number",
        number=number.strip().upper(),
    )
    if not found:
        raise NotParked(f'credit note "{number}": expected a number such as CN-00000001, found none')
    invoice = find_invoice(warehouse, found[0]["invoice_id"])
    with exclusive(warehouse, invoice.invoice_id, author, label=invoice.label) as charges:
        store = CreditNoteStore(charges.connection, author)
        note, _ = store.read(found[0]["id"])
        if note.state != "parked":
            raise NotParked(f"{note.number} is {note.state}: only a parked one waits for a person")
        yield _Held(charges, store, note)
