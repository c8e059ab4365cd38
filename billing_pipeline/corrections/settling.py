"""Approved settlements into documents: an adjustment, a supplementary invoice or credit notes, once.

The documents and the settlement's end are one transaction, which re-checks that the difference is still the approved
one. What is then sent to Stripe goes on from what was written: credit notes by credit_note_sending.py, supplementary
invoices by finalisation and charging like any other.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.exclusive import in_own_hands
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import required_author
from billing_pipeline.corrections.credit_note_sending import Sent, send_pending
from billing_pipeline.corrections.credit_note_store import NewCreditNote, insert_credit_note
from billing_pipeline.corrections.credit_notes import Creditable, creditable
from billing_pipeline.corrections.rules.crediting import CreditLine, credit_note_id
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.invoicing.rules.invoice_ids import supplement_id
from billing_pipeline.postgres.asset_months import owned_month
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import CreditNoteApi


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
    approved = warehouse.rows(_APPROVED)
    settled = [_settle(warehouse, api, row, author, run_id) for row in approved]
    after = send_pending(warehouse, api, actor=author)
    for row in warehouse.rows(_WITHOUT_SUPPLEMENT):
        with owned_month(warehouse, row["billing_month"]) as connection:
            _draft_supplement(connection, row["period_id"], run_id)
    months = tuple(f"{row['billing_month']:%Y-%m}" for row in warehouse.rows(_SUPPLEMENT_DRAFTS))
    return SettlingReport(tuple(settled), (*before, *after), months)


def _settle(warehouse: Warehouse, api: CreditNoteApi, row: dict[str, Any], author: str, run_id: str) -> Settled:
    outcome = (row["settlement_id"], row["customer_id"], row["amount_minor"], row["currency"])
    try:
        with ExitStack() as hands:
            notes: list[NewCreditNote] = []
            rest = row["amount_minor"]
            if row["method"] == "at_once" and rest < 0:
                notes = _credit_notes(warehouse, api, row, author, hands)
                rest += sum(line.amount_minor for note in notes for line in note.lines)
            documents = _write(warehouse, row, notes, rest, author, run_id)
    except UserError as error:
        return Settled(*outcome, waits=str(error))
    except DBAPIError as error:
        return Settled(*outcome, waits=database_reason(error))
    return Settled(*outcome, documents=documents)


def _credit_notes(
    warehouse: Warehouse, api: CreditNoteApi, row: dict[str, Any], author: str, hands: ExitStack
) -> list[NewCreditNote]:
    """Credit notes over as much as the period's invoices can give, supplementary ones first; their locks are kept."""
    notes: list[NewCreditNote] = []
    wanted = -row["amount_minor"]
    for invoice in warehouse.rows(_INVOICES, period_id=row["period_id"]):
        if wanted == 0:
            break
        _, charges = hands.enter_context(in_own_hands(warehouse, find_invoice(warehouse, invoice["id"]), author))
        can: Creditable = creditable(warehouse, charges, api, invoice["id"])
        amount = min(wanted, can.left_minor)
        if amount == 0:
            continue
        wanted -= amount
        notes.append(
            NewCreditNote(
                credit_note_id("settlement", row["settlement_id"], invoice["id"]),
                invoice["id"],
                can.stripe_invoice_id,
                [CreditLine(row["description"], amount)],
                can.parts(amount, row["pay_back"]),
                can.paid_minor,
                row["description"],
                author,
                row["settlement_id"],
            )
        )
    return notes


def _write(
    warehouse: Warehouse, row: dict[str, Any], notes: Sequence[NewCreditNote], rest: int, author: str, run_id: str
) -> tuple[str, ...]:
    """The documents and the settlement's end, or nothing."""
    documents = []
    with owned_month(warehouse, row["billing_month"]) as connection:
        left = connection.execute(text(_STILL), {"id": row["settlement_id"]}).scalar()
        if left is None:
            raise UserError(f"settlement {row['settlement_id']} was carried out or withdrawn by somebody else")
        if left != row["amount_minor"]:
            raise UserError(
                f"settlement {row['settlement_id']}: what is left has changed from {row['amount_minor']} to {left}"
                " minor units since it was proposed; propose again"
            )
        documents += [insert_credit_note(connection, note) for note in notes]
        if rest != 0:
            supplement = rest > 0 and row["method"] == "at_once"
            values = {**row, "amount_minor": rest, "author": author, "on_supplement": supplement}
            connection.execute(text(_ADJUSTMENT), values)
            documents.append("an adjustment of the next invoice")
            if supplement:
                documents[-1] = _draft_supplement(connection, row["period_id"], run_id)
        connection.execute(text(_APPLIED), {"id": row["settlement_id"], "author": author})
    return tuple(documents)


def _draft_supplement(connection: Connection, period_id: object, run_id: str) -> str:
    """A supplementary draft of the period with the adjustments that wait for one."""
    period = connection.execute(text(_NEXT_SUPPLEMENT), {"period_id": period_id}).one()
    own = str(supplement_id(period.customer_id, period.period_start, period.supplement_no))
    values = {"period_id": period_id, "invoice_id": own, "supplement_no": period.supplement_no, "run_id": run_id}
    connection.execute(text(load_sql("corrections/supplement_lines.sql")), values)
    connection.execute(text(_SUPPLEMENT), values)
    return f"supplementary draft {own}"


_APPROVED = """
SELECT s.settlement_id, s.billing_month, s.customer_id, s.period_id, s.currency, s.amount_minor, s.method, s.pay_back,
    format('Correction of %s to %s (%s)', p.start_date, p.end_date - 1,
        replace(s.evidence ->> 'reasons', '_', ' ')) AS description
FROM billing.settlements AS s JOIN billing.billing_periods AS p USING (period_id)
WHERE s.status = 'approved' ORDER BY s.settlement_id
"""
_INVOICES = """
SELECT i.invoice_id::text AS id FROM billing.invoices AS i
WHERE i.period_id = :period_id AND i.status IN ('open', 'paid', 'uncollectible') ORDER BY i.supplement_no DESC
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
INSERT INTO billing.automation_log (actor, action, object_type, object_id, state_after)
SELECT ended_by, 'settlement.apply', 'settlement', settlement_id::text, jsonb_build_object('amount_minor', amount_minor)
FROM applied
"""
_NEXT_SUPPLEMENT = """
SELECT p.customer_id, p.period_start, max(i.supplement_no) + 1 AS supplement_no
FROM billing.billing_periods AS p JOIN billing.invoices AS i USING (period_id)
WHERE p.period_id = :period_id GROUP BY p.customer_id, p.period_start
"""
_SUPPLEMENT = """
INSERT INTO billing.invoices (
    invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, supplement_no, run_id
)
SELECT a.invoice_id, a.customer_id, a.period_id, a.billing_month, a.currency, sum(a.amount_minor), count(*),
    CAST(:supplement_no AS integer), :run_id
FROM billing.invoice_adjustments AS a WHERE a.invoice_id = :invoice_id
GROUP BY a.invoice_id, a.customer_id, a.period_id, a.billing_month, a.currency
"""
_WITHOUT_SUPPLEMENT = """
SELECT DISTINCT p.billing_month, w.corrects_period_id AS period_id
FROM billing.waiting_adjustments AS w
JOIN billing.billing_periods AS p ON p.period_id = w.corrects_period_id
JOIN billing.invoices AS i ON i.period_id = p.period_id AND i.supplement_no = 0
WHERE w.on_supplement AND i.status IN ('open', 'paid', 'uncollectible')
ORDER BY 1, 2
"""
_SUPPLEMENT_DRAFTS = """
SELECT DISTINCT billing_month FROM billing.invoices WHERE supplement_no > 0 AND status = 'draft' ORDER BY 1
"""
