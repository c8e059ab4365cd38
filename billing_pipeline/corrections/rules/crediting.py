"""Credit notes: how an amount is taken back, the request to Stripe, and the next step. Pure decisions.

Here: what follows from our row and from what Stripe says. Not here: what an error means (stripe_errors.py), doing it
(corrections/credit_note_pass.py).

States of billing.credit_notes: intended (frozen, nothing is known to exist at Stripe), issued (it exists there),
refused (Stripe said no: it counts for nothing), parked (a person decides).

Sources: https://docs.stripe.com/api/credit_notes/create (a credit note first lowers what is still to be paid; refund,
balance and out-of-band amounts must add up to the rest),
https://docs.stripe.com/invoicing/integration/programmatic-credit-notes.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from billing_pipeline.charging.rules.decisions import Look, Park, RaiseAttempt, Refuse, Stop
from billing_pipeline.stripe_gateway.rules.api import StripeCreditNote

# Part of every credit note id ever issued: never change it.
_NAMESPACE = uuid.UUID("4f1d1b62-9c4c-4b0a-8a0f-0c5f2f6a7d31")
MEMO_MAX = 500

REFUND = "refund"
BALANCE = "balance"
ELSEWHERE = "elsewhere"
DESTINATIONS = (REFUND, BALANCE, ELSEWHERE)


@dataclass(frozen=True, slots=True)
class CreditLine:
    """What is taken off, in minor units; `invoice_line_no` None: off the whole invoice."""

    description: str
    amount_minor: int
    invoice_line_no: int | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Where the amount goes, in minor units: off what is due, back to the card, to the customer's balance.

    `elsewhere_minor`: to the customer outside Stripe, which is only told of it.
    """

    reduction_minor: int
    refund_minor: int
    balance_minor: int
    elsewhere_minor: int = 0

    @property
    def amount_minor(self) -> int:
        """All of it."""
        return self.reduction_minor + self.refund_minor + self.balance_minor + self.elsewhere_minor


def split(amount_minor: int, *, remaining_minor: int, refundable_minor: int, to: str) -> Split:
    """First what is still due falls; then, with `to` refund, what was paid by card goes back; the rest is balance.

    With `to` elsewhere all that was paid goes back outside Stripe.

    Args:
        amount_minor: of the credit note.
        remaining_minor: what Stripe says is still to be paid.
        refundable_minor: what was paid and not refunded yet.
        to: REFUND, BALANCE or ELSEWHERE.
    """
    reduction = min(amount_minor, remaining_minor)
    if to == ELSEWHERE:
        return Split(reduction, 0, 0, amount_minor - reduction)
    refund = min(amount_minor - reduction, refundable_minor) if to == REFUND else 0
    return Split(reduction, refund, amount_minor - reduction - refund)


def credit_note_id(*parts: object) -> str:
    """The id of the credit note that these facts ask for: asked for twice, it is the same one."""
    return str(uuid.uuid5(_NAMESPACE, json.dumps([str(part) for part in parts])))


def idempotency_key(note_id: str, attempt: int) -> str:
    """The key of an attempt's call; never random, so that every process that repeats it means the same request."""
    return f"{note_id}:credit" + (f":{attempt}" if attempt > 1 else "")


def frozen_request(
    *,
    note_id: str,
    number: str,
    invoice_id: str,
    stripe_invoice_id: str,
    reason: str,
    lines: Sequence[CreditLine],
    parts: Split,
) -> bytes:
    """The request as canonical JSON: keys sorted, no spaces, UTF-8. The lines add up to the parts.

    Raises:
        ValueError: they do not.
    """
    if sum(line.amount_minor for line in lines) != parts.amount_minor:
        raise ValueError(f"credit note {note_id}: the lines do not add up to its parts")
    body: dict[str, object] = {
        "invoice": stripe_invoice_id,
        "lines": [
            {
                "description": line.description[:MEMO_MAX],
                "quantity": 1,
                "type": "custom_line_item",
                "unit_amount": line.amount_minor,
            }
            for line in lines
        ],
        "memo": reason[:MEMO_MAX],
        "metadata": {"credit_note_id": note_id, "invoice_id": invoice_id, "number": number},
    }
    if parts.refund_minor:
        body["refund_amount"] = parts.refund_minor
    if parts.balance_minor:
        body["credit_amount"] = parts.balance_minor
    if parts.elsewhere_minor:
        body["out_of_band_amount"] = parts.elsewhere_minor
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class CreditNote:
    """Our row: the intent and what is known of it. Amounts in minor units of `currency`."""

    credit_note_id: str
    number: str
    invoice_id: str
    amount_minor: int
    reduction_minor: int
    currency: str
    state: str
    attempt: int
    stripe_invoice_id: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What this pass has learned from Stripe.

    Args:
        matches: the credit notes there that carry our id; None while nobody has looked.
        burnt: the key only repeats a stored 5xx.
        contradicted: Stripe refused the request as not fitting the invoice; the words.
        void_is_known: a person looked at what is void there, and wants another one.
    """

    matches: tuple[StripeCreditNote, ...] | None = None
    burnt: bool = False
    contradicted: str | None = None
    void_is_known: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """Issue it at Stripe."""


@dataclass(frozen=True, slots=True)
class Issued:
    """It exists: record it."""

    stripe_credit_note_id: str


Step: TypeAlias = Look | Create | RaiseAttempt | Issued | Refuse | Park | Stop


def next_step(note: CreditNote, seen: Seen) -> Step:
    """What to do next, from our row and what Stripe said; the same for the same facts."""
    if note.state != "intended":
        return Stop()
    if seen.matches is None:
        return Look()
    live = [match for match in seen.matches if match.status != "void"]
    if len(live) > 1:
        found = ", ".join(sorted(match.id for match in live))
        return Park("duplicate_at_stripe", f"more than one credit note there is ours: {found}")
    if live:
        return _as_ordered(note, live[0])
    if seen.matches and not seen.void_is_known:
        return Park("void_at_stripe", f"{seen.matches[0].id} is ours and was voided there")
    if seen.contradicted is not None:
        return Refuse("not_as_believed", seen.contradicted)
    return RaiseAttempt() if seen.burnt else Create()


def _as_ordered(note: CreditNote, found: StripeCreditNote) -> Issued | Park:
    for name, ours, theirs in (
        ("invoice", note.stripe_invoice_id, found.stripe_invoice_id),
        ("currency", note.currency, found.currency),
        ("amount", note.amount_minor, found.amount_minor),
        ("reduction", note.reduction_minor, found.reduction_minor),
    ):
        if ours != theirs:
            return Park(f"{name}_differs", f"{found.id} has {name} {theirs}, ours is {ours}")
    if found.status != "issued":
        return Park("status_unknown", f"{found.id} is {found.status}")
    return Issued(found.id)
