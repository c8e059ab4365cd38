"""Credit notes from intent to a definite answer at Stripe; who sends which, and when.

No transaction is open during a call. Whoever calls holds the invoice's lock.
"""

import time
from collections.abc import Callable

from sqlalchemy import Connection

from billing_pipeline.charging.exclusive import InvoiceBusy, exclusive
from billing_pipeline.charging.follow_stripe import follow_stripe
from billing_pipeline.charging.store import ChargeStore
from billing_pipeline.corrections.credit_note_pass import CreditNotePass, Sent
from billing_pipeline.corrections.credit_note_store import CreditNoteStore
from billing_pipeline.corrections.rules.crediting import Seen
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.correcting_api import CreditNoteApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure


def send_pending(warehouse: Warehouse, api: CreditNoteApi, *, actor: str) -> list[Sent]:
    """Go on with every credit note that has no definite answer yet, in the order of their numbers.

    Raises:
        StripeFailure: Stripe does not accept the key.
    """
    waiting = warehouse.rows(
        "SELECT credit_note_id::text AS id, number, invoice_id::text AS invoice_id FROM billing.credit_notes"
        " WHERE state = 'intended' ORDER BY credit_note_number"
    )
    sent = []
    for row in waiting:
        try:
            with exclusive(warehouse, row["invoice_id"], actor) as charges:
                sent.append(send_and_follow(charges, api, row["id"], actor=actor))
        except InvoiceBusy:
            sent.append(Sent(row["number"], row["invoice_id"], "intended", "in_other_hands", pending=True))
    return sent


def send(
    connection: Connection,
    api: CreditNoteApi,
    credit_note_id: str,
    *,
    actor: str,
    void_is_known: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> Sent:
    """Take one credit note as far as it goes. The caller holds its invoice's lock, on this autocommit connection.

    `void_is_known`: one of ours that is void at Stripe is no reason to stop.

    Raises:
        StripeFailure: Stripe does not accept the key.
    """
    store = CreditNoteStore(connection, actor)
    note, body = store.read(credit_note_id)
    return CreditNotePass(store, api, note, body, Seen(void_is_known=void_is_known), sleep).run()


def send_and_follow(
    charges: ChargeStore,
    api: CreditNoteApi,
    credit_note_id: str,
    *,
    actor: str,
    void_is_known: bool = False,
) -> Sent:
    """`send`, and then what it made of the invoice: one that was open and is credited in full is paid at Stripe."""
    done = send(charges.connection, api, credit_note_id, actor=actor, void_is_known=void_is_known)
    if done.state == "issued":
        note, _ = CreditNoteStore(charges.connection, actor).read(credit_note_id)
        try:
            charge = charges.read(done.invoice_id).charge
            follow_stripe(charges, charge, api.retrieve_invoice(note.stripe_invoice_id))
        except StripeFailure as failure:
            if failure.outcome is Outcome.STOP:
                raise
            # the credit note is issued; the invoice's new status is recorded when Stripe is asked about it again
    return done
