"""Events of invoices: the charge follows what Stripe's invoice means for it, and its payments are written down."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.charging.payments import record_payment
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.charging.store import ChargeStore
from billing_pipeline.events.reading import Reading, Write
from billing_pipeline.events.rules.known_already import PaidHere, is_later, says_nothing_new
from billing_pipeline.events.rules.stripe_events import (
    Applied,
    Awaited,
    Busy,
    Ignored,
    Verdict,
    invoice_step,
    is_our_id,
)
from billing_pipeline.postgres.connections import each_by_itself
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline.postgres.session_lock import is_locked
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure
from billing_pipeline.stripe_gateway.rules.objects import InvoiceFacts

EVENTS = "stripe-events"
"""The actor in the audit log of what events change."""


def read_invoice(reading: Reading) -> Write:
    """Ask for the invoice, unless nothing that its events say is new."""
    early = _before_asking(reading, reading.object_id)
    if early is not None:
        return lambda _: early
    try:
        facts = reading.api.retrieve_invoice_facts(reading.object_id)
    except StripeFailure as failure:
        if failure.evidence.kind == "not_found" and _were_drafts(reading):
            return lambda _: Applied("the draft was deleted at Stripe")
        raise
    return lambda connection: _apply_invoice(connection, reading, facts)


def read_invoice_payment(reading: Reading) -> Write:
    """Ask for the payment and for the invoice that it pays, in part or in full, unless it is known."""
    [stripe_invoice_id, *others] = {_invoice_of(said) for _, said in reading.said() or ()} or {None}
    if stripe_invoice_id is not None and not others:
        early = _before_asking(reading, stripe_invoice_id)
        if early is not None:
            return lambda _: early
    payment = reading.api.retrieve_payment(reading.object_id)
    facts = reading.api.retrieve_invoice_facts(payment.stripe_invoice_id)
    if payment.payment_id not in {one.payment_id for one in facts.payments}:
        # an invoice embeds its newest payments only
        facts = replace(facts, payments=(*facts.payments, payment))
    return lambda connection: _apply_invoice(connection, reading, facts)


def _invoice_of(said: Mapping[str, Any]) -> str | None:
    return said["invoice"] if isinstance(said.get("invoice"), str) else None


def _before_asking(reading: Reading, stripe_invoice_id: str) -> Applied | Busy | None:
    """What follows without a question: a run is at it, or our rows are as far as every event says. None: ask.

    Replayed events are asked about: a person wanted to know. So is what happened after our row was written. States go
    forward only, so what is known now is known when the events are finished.
    """
    if any(event.replays for event in reading.events):
        return None
    row = reading.look_up(load_sql("events/known_invoice.sql"), stripe_invoice_id=stripe_invoice_id)
    if row is None:
        return None
    charge, paid = Charge(*row[:9]), PaidHere(sum(row.payments.values()), row.payments)
    with each_by_itself(reading.connection):
        if _is_being_charged(reading.connection, charge.invoice_id):
            return Busy()
    if any(is_later(event.created, row.updated_at) for event in reading.events):
        return None
    said = reading.said()
    is_known = said is not None and all(says_nothing_new(type_, thing, charge, paid) for type_, thing in said)
    return Applied("known already") if is_known else None


def _were_drafts(reading: Reading) -> bool:
    """Whether every event spoke of a draft: nothing else can be deleted at Stripe."""
    return all(((body.get("data") or {}).get("object") or {}).get("status") == "draft" for body in reading.bodies())


def _apply_invoice(connection: Connection, reading: Reading, facts: InvoiceFacts) -> Verdict:
    invoice = facts.invoice
    ours = invoice.invoice_id if is_our_id(invoice.invoice_id) else None
    row = connection.execute(
        text(load_sql("events/charge_of_invoice.sql")), {"invoice_id": ours, "stripe_invoice_id": invoice.id}
    ).first()
    if row is None:
        return Awaited(f"no charge of invoice {ours} is here") if ours else Ignored("an invoice that is not ours")
    charge = Charge(*row[:10])
    if _is_being_charged(connection, charge.invoice_id):
        return Busy()
    step = invoice_step(charge, row.reason_code, row.customer_at_stripe, facts)
    if isinstance(step, ChargeChange) and row.is_closed:
        # the books of that month are closed: what came later is in the payments, which are records of their own
        step = Applied(f"the month is closed, the charge stays {charge.state}")
    if isinstance(step, ChargeChange):
        evidence = {**step.evidence, "events": [event.event_id for event in reading.events]}
        store = ChargeStore(connection, reading.run_id, EVENTS)
        charge = store.change(charge, replace(step, evidence=evidence))
        step = Applied()
    if charge.stripe_invoice_id == invoice.id:
        for payment in facts.payments:
            record_payment(connection, charge.invoice_id, payment)
    return step


def _is_being_charged(connection: Connection, invoice_id: str) -> bool:
    """Whether a charging run holds the invoice's lock.

    Only looked at, never taken: a run that found it taken would leave the invoice to nobody. Without it nothing would
    be wrong either, because the run changes a charge only as long as it is what it read.
    """
    return is_locked(connection, charge_lock_key(invoice_id))
