"""What the clock does: finalising drafts and charging open invoices whose hour has come, answering for banks.

Done lazily, before the next call that finds something due, or when the clock is moved.
"""

from __future__ import annotations

from . import checkout_sessions, collection, finalising, payment_intents
from .errors import StripeError
from .indexing import Body
from .outcomes import outcomes_of
from .work import Work

AUTO_ADVANCE_BATCH = 50


def is_due(work: Work) -> bool:
    """Whether the clock has reached something that goes on by itself."""
    row = work.connection.execute("SELECT 1 FROM objects WHERE due_at <= ? LIMIT 1", (work.now,)).fetchone()
    return row is not None


def advance(work: Work) -> None:
    """Finalise and charge the invoices whose hour has come, oldest first; refused ones stay open.

    Settle debits,
    expire checkout sessions.
    """
    due = [("due_at <= ?", work.now)]
    for charge in work.store.find("charge", *due)[:AUTO_ADVANCE_BATCH]:
        method = work.store.get("payment_method", charge["payment_method"])
        outcome = outcomes_of(method["type"])[work.store.private(method["id"])["outcome"]]
        if outcome.effect == "stay":
            work.store.replace(charge)
        else:
            payment_intents.settle(work, charge, outcome)
    for session in work.store.find("checkout.session", *due):
        checkout_sessions.expire(work, {}, session["id"])
    for invoice in work.store.find("invoice", *due)[:AUTO_ADVANCE_BATCH]:
        current = _finalise_by_clock(work, invoice) if invoice["status"] == "draft" else invoice
        if current["status"] != "open":
            continue
        rested = current | {"next_payment_attempt": None}
        work.store.replace(rested)
        if rested["auto_advance"] and rested["collection_method"] == "charge_automatically":
            try:
                collection.attempt(work, rested, None, off_session=True)
            except StripeError as refusal:
                if not refusal.keep_effects:
                    work.update(rested, collection.attempted(rested), "invoice.payment_failed")


def _finalise_by_clock(work: Work, invoice: Body) -> Body:
    try:
        return finalising.finalise(work, invoice)
    except StripeError as refusal:
        error = {name: value for name, value in refusal.fields.items() if value is not None}
        failed = invoice | {"automatically_finalizes_at": None, "last_finalization_error": error}
        return work.update(invoice, failed, "invoice.updated", "invoice.finalization_failed")
