"""Credit notes at Stripe."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import stripe

from billing_pipeline.stripe_gateway.calls import StripeCalls, id_of, options
from billing_pipeline.stripe_gateway.rules.api import StripeCreditNote


class CreditNoteCalls(StripeCalls):
    """List and create credit notes."""

    def credit_notes_of(self, stripe_invoice_id: str) -> Iterator[StripeCreditNote]:
        """All credit notes of an invoice, newest first."""
        return (_credit_note(body) for body in self.pages("/v1/credit_notes", {"invoice": stripe_invoice_id}))

    def create_credit_note(self, note: Mapping[str, Any], *, key: str) -> StripeCreditNote:
        """A credit note; a refund or a balance transaction that it asks for comes with it, or nothing does."""
        params = cast("stripe.params.CreditNoteCreateParams", dict(note))
        notes = self._stripe.v1.credit_notes
        return self.object_of("credit_notes.create", _credit_note, lambda: notes.create(params, options(key)))


def _credit_note(body: dict[str, Any]) -> StripeCreditNote:
    return StripeCreditNote(
        id=body["id"],
        credit_note_id=(body["metadata"] or {}).get("credit_note_id"),
        stripe_invoice_id=id_of(body["invoice"]),
        status=body["status"],
        currency=body["currency"],
        amount_minor=body["total"],
        reduction_minor=body["pre_payment_amount"],
    )
