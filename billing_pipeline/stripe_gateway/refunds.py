"""What takes money back at Stripe: refunds, credit notes and disputes."""

from collections.abc import Iterator
from typing import Any

from billing_pipeline.stripe_gateway.calls import StripeCalls, id_of, options
from billing_pipeline.stripe_gateway.rules.objects import CreditNote, Dispute, Refund
from billing_pipeline.stripe_gateway.values import id_or_none, instant


class RefundCalls(StripeCalls):
    """Read refunds, credit notes and disputes."""

    def retrieve_refund(self, refund_id: str) -> Refund:
        """A refund as it is now."""
        return self.retrieve("refunds", _refund, refund_id)

    def refunds_of_charge(self, charge_id: str) -> Iterator[Refund]:
        """All refunds of a charge, newest first."""
        return (_refund(body) for body in self.pages("/v1/refunds", {"charge": charge_id}))

    def list_refunds(self, created_gte: int) -> Iterator[Refund]:
        """All refunds created at or after a Unix time, newest first."""
        return (_refund(body) for body in self.pages("/v1/refunds", {"created": {"gte": created_gte}}))

    def retrieve_credit_note(self, credit_note_id: str) -> CreditNote:
        """A credit note as it is now."""
        return self.retrieve("credit_notes", _credit_note, credit_note_id)

    def list_credit_notes(self, created_gte: int) -> Iterator[CreditNote]:
        """All credit notes created at or after a Unix time, newest first."""
        return (_credit_note(body) for body in self.pages("/v1/credit_notes", {"created": {"gte": created_gte}}))

    def retrieve_dispute(self, dispute_id: str) -> Dispute:
        """A dispute as it is now."""
        return self.retrieve("disputes", _dispute, dispute_id)

    def list_disputes(self, created_gte: int) -> Iterator[Dispute]:
        """All disputes created at or after a Unix time, newest first."""
        return (_dispute(body) for body in self.pages("/v1/disputes", {"created": {"gte": created_gte}}))

    def accept_dispute(self, dispute_id: str, *, key: str) -> Dispute:
        """Give a dispute up: it is lost at once, and for good."""
        disputes = self._stripe.v1.disputes
        return self.object_of("disputes.close", _dispute, lambda: disputes.close(dispute_id, {}, options(key)))


def _refund(body: dict[str, Any]) -> Refund:
    return Refund(
        refund_id=body["id"],
        payment_intent_id=id_or_none(body.get("payment_intent")),
        charge_id=id_or_none(body.get("charge")),
        amount_minor=body["amount"],
        currency=body["currency"],
        status=body["status"],
        reason=body.get("reason"),
        created_at=instant(body["created"]),
    )


def _credit_note(body: dict[str, Any]) -> CreditNote:
    return CreditNote(
        credit_note_id=body["id"],
        stripe_invoice_id=id_of(body["invoice"]),
        number=body["number"],
        total_minor=body["total"],
        pre_payment_minor=body["pre_payment_amount"],
        post_payment_minor=body["post_payment_amount"],
        currency=body["currency"],
        status=body["status"],
        reason=body["reason"],
        created_at=instant(body["created"]),
    )


def _taken_back(body: dict[str, Any]) -> int:
    """What the bank has of the amount, by the balance transactions.

    They are in the currency of the account's balance: where that is not the dispute's, all was moved or nothing.
    """
    booked = body.get("balance_transactions") or []
    moved = -sum(one["amount"] for one in booked)
    if any(one["currency"] != body["currency"] for one in booked):
        moved = body["amount"] if len(booked) % 2 else 0
    return int(min(max(moved, 0), body["amount"]))


def _dispute(body: dict[str, Any]) -> Dispute:
    return Dispute(
        dispute_id=body["id"],
        payment_intent_id=id_or_none(body.get("payment_intent")),
        charge_id=id_of(body["charge"]),
        amount_minor=body["amount"],
        currency=body["currency"],
        status=body["status"],
        reason=body["reason"],
        created_at=instant(body["created"]),
        taken_back_minor=_taken_back(body),
    )
