"""The payment state of invoices, folded from events alone: no table of ours, no question to Stripe. Pure.

An event carries its object as it was when the event was made. Whatever the order, the furthest status counts, as it
does in events/rules/stripe_events.py; amounts are those of the objects in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from billing_pipeline.events.rules.stripe_events import is_our_id

_RANKS = {
    "invoice": {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3},
    "invoice_payment": {"open": 0, "canceled": 1, "paid": 1},
    "refund": {"pending": 0, "requires_action": 0, "succeeded": 1, "canceled": 2, "failed": 2},
    "credit_note": {"issued": 0, "void": 1},
    "dispute": {
        "warning_needs_response": 0,
        "needs_response": 0,
        "warning_under_review": 1,
        "under_review": 1,
        "warning_closed": 2,
        "prevented": 2,
        "won": 2,
        "lost": 2,
    },
}
"""Object -> status -> how far on it is. Events of other objects say nothing about payments."""


@dataclass(frozen=True, slots=True)
class PaymentState:
    """What became of an invoice's money, in its minor units. `status`: open until paid, void or uncollectible."""

    status: str = "open"
    paid_minor: int = 0
    refunded_minor: int = 0
    credited_minor: int = 0
    lost_in_disputes_minor: int = 0


@dataclass(slots=True)
class PaymentFold:
    """Takes events in any order, any number of times, and says at the end where every invoice stands."""

    _furthest: dict[tuple[str, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        """Take an event's JSON; what is not about payments, or not understood, is passed over."""
        data = event.get("data")
        thing = data.get("object") if isinstance(data, dict) else None
        if not isinstance(thing, dict):
            return
        kind, key, status = thing.get("object"), thing.get("id"), thing.get("status")
        rank = _RANKS.get(str(kind), {}).get(str(status))
        if rank is None or not isinstance(key, str):
            return
        known = self._furthest.get((str(kind), key))
        if known is None or rank > known[0]:
            self._furthest[str(kind), key] = (rank, thing)

    def states(self, charge_of: Callable[[str], str | None]) -> dict[str, PaymentState]:
        """The state of each invoice of ours that events speak of, by our id.

        Args:
            charge_of: id at Stripe of the invoice that stands for ours: copies of it do not count.
        """
        states: dict[str, PaymentState] = {}
        ours_of: dict[str | None, str] = {}
        for invoice in self._all("invoice"):
            ours = str((invoice.get("metadata") or {}).get("invoice_id"))
            if is_our_id(ours) and charge_of(ours) == invoice["id"]:
                ours_of[invoice["id"]] = ours
                status = str(invoice["status"])
                states[ours] = PaymentState("open" if status == "draft" else status)
        paid = [payment for payment in self._all("invoice_payment") if payment["status"] == "paid"]
        ours_of_intent = {
            _id((payment.get("payment") or {}).get("payment_intent")): ours_of.get(_id(payment.get("invoice")))
            for payment in paid
        }
        for payment in paid:
            _add(states, ours_of.get(_id(payment.get("invoice"))), "paid_minor", payment.get("amount_paid"))
        for refund in self._all("refund"):
            if refund["status"] not in ("failed", "canceled"):
                _add(
                    states,
                    ours_of_intent.get(_id(refund.get("payment_intent"))),
                    "refunded_minor",
                    refund.get("amount"),
                )
        for note in self._all("credit_note"):
            if note["status"] == "issued":
                _add(states, ours_of.get(_id(note.get("invoice"))), "credited_minor", note.get("total"))
        for dispute in self._all("dispute"):
            if dispute["status"] == "lost":
                ours_paid = ours_of_intent.get(_id(dispute.get("payment_intent")))
                _add(states, ours_paid, "lost_in_disputes_minor", dispute.get("amount"))
        return states

    def _all(self, kind: str) -> list[dict[str, Any]]:
        return [thing for (one, _), (_, thing) in self._furthest.items() if one == kind]


def _id(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else None


def _add(states: dict[str, PaymentState], invoice_id: str | None, name: str, amount_minor: Any) -> None:
    """Nothing is added for an invoice that is not ours, or by an object that says no amount."""
    if invoice_id is not None and isinstance(amount_minor, int):
        state = states[invoice_id]
        states[invoice_id] = replace(state, **{name: getattr(state, name) + amount_minor})
