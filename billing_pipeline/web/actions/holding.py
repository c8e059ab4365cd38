"""Holds on customers, invoices and months."""

from collections.abc import Callable

from billing_pipeline.core.months import parse_month
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections import holds
from billing_pipeline.web.actions.desk import Desk, Do, Done, Fields

SubjectOf = Callable[[Desk, str], holds.Subject]


def of_customer(desk: Desk, key: str) -> holds.Subject:
    """A customer, by its id."""
    return holds.customer_subject(desk.warehouse, key)


def of_invoice(desk: Desk, key: str) -> holds.Subject:
    """An invoice, by its number or id."""
    return holds.invoice_subject(desk.warehouse, key)


def of_month(_: Desk, key: str) -> holds.Subject:
    """A month, such as 2026-10."""
    return holds.month_subject(parse_month(key))


def place(subject: SubjectOf) -> Do:
    """Keep it back."""

    def do(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
        held = subject(desk, key)
        holds.place_hold(desk.warehouse, held, signature)
        return Done(f"{held.label} is kept back until somebody releases it.", {"kind": held.kind, "held": held.key})

    return do


def release(subject: SubjectOf) -> Do:
    """Let it go."""

    def do(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
        held = subject(desk, key)
        holds.release_hold(desk.warehouse, held, signature)
        return Done(f"{held.label} is released.", {"kind": held.kind, "released": held.key})

    return do
