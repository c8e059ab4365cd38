"""Which column of `objects` each kind of Stripe object fills: the fields that the API filters by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Body = dict[str, Any]


class Columns(NamedTuple):
    """Values of the filterable columns; the meaning of ``parent`` and ``tag`` depends on the kind."""

    customer: str | None = None
    parent: str | None = None
    status: str | None = None
    tag: str | None = None
    due_at: int | None = None


def _invoice(body: Body) -> Columns:
    parent = body["parent"]
    subscription = parent["subscription_details"]["subscription"] if parent else None
    due = {"draft": body["automatically_finalizes_at"], "open": body["next_payment_attempt"]}.get(body["status"])
    return Columns(body["customer"], subscription, body["status"], body["collection_method"], due)


def _invoice_payment(body: Body) -> Columns:
    return Columns(None, body["invoice"], body["status"], body["payment"].get("payment_intent"))


def _checkout_session(body: Body) -> Columns:
    due = body["expires_at"] if body["status"] == "open" else None
    return Columns(body["customer"], body["setup_intent"], body["status"], due_at=due)


_COLUMNS: dict[str, Callable[[Body], Columns]] = {
    "customer": lambda b: Columns(tag=b["email"]),
    "invoice": _invoice,
    "line_item": lambda b: Columns(parent=b["invoice"]),
    "invoiceitem": lambda b: Columns(b["customer"], b["invoice"], "attached" if b["invoice"] else "pending"),
    "invoice_payment": _invoice_payment,
    "payment_method": lambda b: Columns(b["customer"], tag=b["type"]),
    "payment_intent": lambda b: Columns(b["customer"], status=b["status"]),
    "charge": lambda b: Columns(b["customer"], b["payment_intent"], b["status"]),
    "refund": lambda b: Columns(parent=b["charge"], status=b["status"], tag=b["payment_intent"]),
    "dispute": lambda b: Columns(parent=b["charge"], status=b["status"], tag=b["payment_intent"]),
    "credit_note": lambda b: Columns(b["customer"], b["invoice"], b["status"]),
    "customer_balance_transaction": lambda b: Columns(b["customer"], b["invoice"], tag=b["type"]),
    "setup_intent": lambda b: Columns(b["customer"], b["payment_method"], b["status"]),
    "checkout.session": _checkout_session,
    "billing_portal.session": lambda b: Columns(b["customer"]),
    "subscription": lambda b: Columns(b["customer"], status=b["status"], tag=b["collection_method"]),
    "product": lambda b: Columns(status=str(b["active"])),
    "price": lambda b: Columns(None, b["product"], str(b["active"]), b["lookup_key"]),
    "event": lambda b: Columns(tag=b["type"]),
    "webhook_endpoint": lambda b: Columns(status=b["status"]),
}


def columns(body: Body) -> Columns:
    """The filterable columns of an object; KeyError for a kind nobody told us about."""
    return _COLUMNS[body["object"]](body)
