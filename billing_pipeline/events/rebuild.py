"""Recompute every invoice's payment state from the stored events and hold it against the books. Changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text

from billing_pipeline.events.cipher import EventCipher, EventCipherError
from billing_pipeline.events.rules.event_rebuild import PaymentFold, PaymentState
from billing_pipeline.events.rules.received_event import read_json
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An invoice whose books say something else than its events. `from_events` None: no event speaks of it."""

    invoice_id: str
    number: str
    customer_id: str
    in_books: PaymentState
    from_events: PaymentState | None
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was read and what does not agree. `after_closing`: paid or voided after the month's books were closed."""

    event_count: int
    unreadable: tuple[str, ...]
    invoice_count: int
    agreeing: int
    mismatches: tuple[Mismatch, ...]
    after_closing: tuple[Mismatch, ...]


def rebuild(warehouse: Warehouse, cipher: EventCipher) -> Rebuilt:
    """Fold all stored events and compare with every finalised invoice.

    An invoice that never reached Stripe has no events and nothing to be compared.
    """
    fold = PaymentFold()
    count, unreadable = 0, []
    for event_id, key_id, body in _bodies(warehouse):
        count += 1
        try:
            fold.take(read_json(cipher.decrypt(event_id, key_id, body)))
        except (EventCipherError, ValueError, RecursionError):
            unreadable.append(event_id)
    rows = [_InBooks(**row) for row in warehouse.rows(load_sql("events/payment_states.sql"))]
    at_stripe = {row.invoice_id: row.stripe_invoice_id for row in rows}
    states = fold.states(at_stripe.get)
    different = [found for row in rows if (found := _compared(row, states.get(row.invoice_id))) is not None]
    late = tuple(one for one in different if _is_after_closing(one))
    return Rebuilt(
        event_count=count,
        unreadable=tuple(unreadable),
        invoice_count=len(rows),
        agreeing=len(rows) - len(different),
        mismatches=tuple(one for one in different if one not in late),
        after_closing=late,
    )


def _bodies(warehouse: Warehouse) -> Iterator[tuple[str, str, bytes]]:
    with warehouse.engine.connect() as connection:
        streamed = connection.execution_options(yield_per=BATCH).execute(
            text("SELECT event_id, key_id, body FROM billing.stripe_events ORDER BY received_at, event_id")
        )
        for row in streamed:
            yield row.event_id, row.key_id, bytes(row.body)


@dataclass(frozen=True, slots=True)
class _InBooks:
    """An invoice as our books have it."""

    invoice_id: str
    number: str
    customer_id: str
    status: str
    stripe_invoice_id: str | None
    is_closed: bool
    paid_minor: int
    refunded_minor: int
    credited_minor: int
    lost_in_disputes_minor: int


def _compared(row: _InBooks, from_events: PaymentState | None) -> Mismatch | None:
    in_books = PaymentState(
        row.status, row.paid_minor, row.refunded_minor, row.credited_minor, row.lost_in_disputes_minor
    )
    if from_events == in_books or (from_events is None and row.stripe_invoice_id is None):
        return None
    return Mismatch(row.invoice_id, row.number, row.customer_id, in_books, from_events, row.is_closed)


def _is_after_closing(one: Mismatch) -> bool:
    """A write-off that was paid or voided later: its invoice stays as it was closed, the payment stands by itself."""
    if one.from_events is None or not one.is_closed or one.in_books.status != "uncollectible":
        return False
    return one.from_events.status in ("paid", "void") and one.from_events.paid_minor == one.in_books.paid_minor
