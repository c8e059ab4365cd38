"""Events of invoices: the charge takes the step that Stripe's invoice shows, and its payments are written down."""

import json
from dataclasses import replace

from sqlalchemy import Connection, text

from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.charging.store import lock_key
from billing_pipeline.events import mirror
from billing_pipeline.events.reading import Reading, Write
from billing_pipeline.events.rules.stripe_events import (
    Applied,
    Awaited,
    Busy,
    ChargeStep,
    Ignored,
    Verdict,
    invoice_step,
    is_our_id,
)
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure
from billing_pipeline.stripe_gateway.rules.objects import InvoiceFacts


def read_invoice(reading: Reading) -> Write:
    """Ask for the invoice."""
    try:
        facts = reading.api.retrieve_invoice_facts(reading.object_id)
    except StripeFailure as failure:
        if failure.evidence.kind == "not_found" and _were_drafts(reading):
            return lambda _: Applied("the draft was deleted at Stripe")
        raise
    return lambda connection: _apply_invoice(connection, reading, facts)


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
    charge = Charge(*row[:8])
    if _is_being_charged(connection, charge.invoice_id):
        return Busy()
    step = invoice_step(charge, row.reason_code, row.customer_at_stripe, facts)
    if isinstance(step, ChargeStep) and row.is_closed:
        # the books of that month are closed: what came later is in the payments, which are records of their own
        step = Applied(f"the month is closed, the charge stays {charge.state}")
    if isinstance(step, ChargeStep):
        _take(connection, reading, charge, step, invoice.status)
        charge = replace(charge, stripe_invoice_id=step.stripe_invoice_id)
        step = Applied()
    if charge.stripe_invoice_id == invoice.id:
        for payment in facts.payments:
            mirror.mirror_payment(connection, charge.invoice_id, payment)
    return step


def _take(connection: Connection, reading: Reading, charge: Charge, step: ChargeStep, status: str | None) -> None:
    evidence = {
        "stripe_invoice": step.stripe_invoice_id,
        "status": status,
        "events": [event.event_id for event in reading.events],
    }
    connection.execute(
        text(load_sql("events/charge_step.sql")),
        {
            "invoice_id": charge.invoice_id,
            "from_state": charge.state,
            "state": step.state,
            "reason_code": step.reason_code,
            "reason": step.reason,
            "stripe_customer_id": step.stripe_customer_id,
            "stripe_invoice_id": step.stripe_invoice_id,
            "stripe_total_minor": step.stripe_total_minor,
            "stripe_currency": step.stripe_currency,
            "run_id": reading.run_id,
            "evidence": json.dumps(evidence),
        },
    )


def _is_being_charged(connection: Connection, invoice_id: str) -> bool:
    """Whether a charging run holds the invoice's lock.

    Only looked at, never taken: a run that found it taken would leave the invoice to nobody. Without it nothing would
    be wrong either, because the run changes a charge only as long as it is what it read.
    """
    return bool(connection.execute(text(_HELD), {"key": lock_key(invoice_id)}).scalar_one())


# a bigint key shows in pg_locks as its two halves
_HELD = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (CAST(classid AS bigint) << 32 | CAST(objid AS bigint)) = :key
)
"""
