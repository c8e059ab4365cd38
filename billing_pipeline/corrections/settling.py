"""Approved settlements into documents: an adjustment, a supplementary invoice or credit notes, once.

The documents and the settlement's end are one transaction, which re-checks that the difference is still the approved
one. What is then sent to Stripe goes on from what was written: credit notes by credit_note_sending.py, supplementary
invoices by finalisation and charging like any other.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import required_author
from billing_pipeline.corrections.credit_note_pass import Sent
from billing_pipeline.corrections.credit_note_sending import send_pending
from billing_pipeline.corrections.credit_note_store import NewCreditNote, insert_credit_note
from billing_pipeline.corrections.credit_notes import Creditable, creditable
from billing_pipeline.corrections.rules.crediting import CreditLine, credit_note_id
from billing_pipeline.corrections.supplements import draft_missing_supplements, draft_supplement, months_of_supplements
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.postgres.asset_months import owned_month
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.correcting_api import CreditNoteApi


@dataclass(frozen=True, slots=True)
class _Approved:
    """A settlement that may be carried out. `amount_minor` in minor units of `currency`, below zero: we owe it."""

    settlement_id: int
    billing_month: date
    customer_id: str
    period_id: UUID
    currency: str
    amount_minor: int
    method: str
    pay_back: str
    description: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one settlement in this pass; `waits` says why it was not carried out."""

    settlement_id: int
    customer_id: str
    amount_minor: int
    currency: str
    documents: tuple[str, ...] = ()
    waits: str | None = None


@dataclass(frozen=True, slots=True)
class SettlingReport:
    """The settlements of this pass, the credit notes that were sent, and the supplementary drafts that wait."""

    settled: tuple[Settled, ...]
    sent: tuple[Sent, ...]
    months_to_charge: tuple[str, ...]


def run_settlements(
    warehouse: Warehouse, api: CreditNoteApi, *, author: str, run_id: str = "billing settle"
) -> SettlingReport:
    """Carry out every approved settlement, and go on with what an earlier pass left at Stripe.

    Raises:
        StripeFailure: Stripe does not accept the key, or cannot be asked about an invoice.
    """
    author = required_author(author)
    before = send_pending(warehouse, api, actor=author)
    approved = [_Approved(**row) for row in warehouse.rows(_APPROVED)]
    settled = [_settle(warehouse, api, due, author, run_id) for due in approved]
    after = send_pending(warehouse, api, actor=author)
    draft_missing_supplements(warehouse, run_id)
    return SettlingReport(tuple(settled), (*before, *after), months_of_supplements(warehouse))


def _settle(warehouse: Warehouse, api: CreditNoteApi, due: _Approved, author: str, run_id: str) -> Settled:
    outcome = (due.settlement_id, due.customer_id, due.amount_minor, due.currency)
    try:
        with ExitStack() as locks:
            notes: list[NewCreditNote] = []
            rest = due.amount_minor
            if due.method == "at_once" and rest < 0:
                notes = _credit_notes(warehouse, api, due, author, locks)
                rest += sum(line.amount_minor for note in notes for line in note.lines)
            documents = _write(warehouse, due, notes, rest, author, run_id)
    except UserError as error:
        return Settled(*outcome, waits=str(error))
    except DBAPIError as error:
        return Settled(*outcome, waits=database_reason(error))
    return Settled(*outcome, documents=documents)


def _credit_notes(
    warehouse: Warehouse, api: CreditNoteApi, due: _Approved, author: str, locks: ExitStack
) -> list[NewCreditNote]:
    """Credit notes over as much as the period's invoices can give, supplementary ones first; their locks are kept."""
    notes: list[NewCreditNote] = []
    wanted = -due.amount_minor
    for invoice in warehouse.rows(_INVOICES, period_id=due.period_id):
        if wanted == 0:
            break
        label = find_invoice(warehouse, invoice["id"]).label
        charges = locks.enter_context(exclusive(warehouse, invoice["id"], author, label=label))
        can: Creditable = creditable(warehouse, charges, api, invoice["id"])
        amount = min(wanted, can.left_minor)
        if amount == 0:
            continue
        wanted -= amount
        notes.append(
            NewCreditNote(
                credit_note_id("settlement", due.settlement_id, invoice["id"]),
                invoice["id"],
                can.stripe_invoice_id,
                [CreditLine(due.description, amount)],
                can.parts(amount, due.pay_back),
                can.paid_minor,
                due.description,
                author,
                due.settlement_id,
            )
        )
    return notes


def _write(
    warehouse: Warehouse, due: _Approved, notes: Sequence[NewCreditNote], rest: int, author: str, run_id: str
) -> tuple[str, ...]:
    """The documents and the settlement's end, or nothing."""
    documents = []
    with owned_month(warehouse, due.billing_month) as connection:
        left = connection.execute(text(_STILL), {"id": due.settlement_id}).scalar()
        if left is None:
            raise UserError(f"settlement {due.settlement_id} was carried out or withdrawn by somebody else")
        if left != due.amount_minor:
            raise UserError(
                f"settlement {due.settlement_id}: what is left has changed from {due.amount_minor} to {left}"
                " minor units since it was proposed; propose again"
            )
        documents += [insert_credit_note(connection, note) for note in notes]
        if rest != 0:
            supplement = rest > 0 and due.method == "at_once"
            values = {**asdict(due), "amount_minor": rest, "author": author, "on_supplement": supplement}
            connection.execute(text(_ADJUSTMENT), values)
            documents.append("an adjustment of the next invoice")
            if supplement:
                documents[-1] = f"supplementary draft {draft_supplement(connection, due.period_id, run_id)}"
        connection.execute(text(_APPLIED), {"id": due.settlement_id, "author": author})
    return tuple(documents)


_APPROVED = """
SELECT s.settlement_id, s.billing_month, s.customer_id, s.period_id, s.currency, s.amount_minor, s.method, s.pay_back,
    format('Correction of %s to %s (%s)', p.start_date, p.end_date - 1,
        replace(s.evidence ->> 'reasons', '_', ' ')) AS description
FROM billing.settlements AS s JOIN billing.billing_periods AS p USING (period_id)
WHERE s.status = 'approved' ORDER BY s.settlement_id
"""
_INVOICES = """
SELECT i.invoice_id::text AS id FROM billing.invoices AS i
WHERE i.period_id = :period_id AND billing.is_final(i.status) ORDER BY i.supplement_no DESC
"""
_STILL = """
SELECT u.left_minor FROM billing.settlements AS s JOIN billing.unsettled_drift AS u USING (period_id)
WHERE s.settlement_id = :id AND s.status = 'approved' FOR UPDATE OF s
"""
_ADJUSTMENT = """
INSERT INTO billing.adjustments (
    adjustment_id, customer_id, currency, amount_minor, description, reason, author, corrects_period_id, on_supplement,
    settlement_id
) VALUES (
    md5('settlement ' || CAST(:settlement_id AS text))::uuid, :customer_id, :currency, :amount_minor, :description,
    :description, :author, :period_id, :on_supplement, :settlement_id
)
"""
_APPLIED = """
WITH applied AS (
    UPDATE billing.settlements SET status = 'applied', ended_by = :author, ended_at = clock_timestamp()
    WHERE settlement_id = :id RETURNING *
)
SELECT billing.log_action(
    ended_by, 'settlement.apply', 'settlement', settlement_id::text,
    state_after => jsonb_build_object('amount_minor', amount_minor)
) FROM applied
"""
