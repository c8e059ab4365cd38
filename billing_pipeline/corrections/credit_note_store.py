"""billing.credit_notes as issuing and sending read and change it.

Every change is one statement that re-checks what it relies on and writes its entry in the audit log with it. What to
change is decided in corrections/rules/crediting.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.corrections.rules.crediting import CreditLine, CreditNote, Split, frozen_request
from billing_pipeline.postgres.sql_files import load_sql


class CreditNoteMoved(RuntimeError):  # noqa: N818 - reads as what happened
    """Somebody else changed the credit note in between: what was decided on is no longer so."""


@dataclass(frozen=True, slots=True)
class NewCreditNote:
    """What is to be issued: everything but the number, which the transaction gives."""

    credit_note_id: str
    invoice_id: str
    stripe_invoice_id: str
    lines: Sequence[CreditLine]
    parts: Split
    paid_minor: int
    reason: str
    author: str
    settlement_id: int | None = None


@dataclass(frozen=True, slots=True)
class CreditNoteChange:
    """What changes, and what the audit log says of it. None: it stays as it is.

    `outcome_unknown`: a request was sent, and whether Stripe did it is not known; None: that stays as it is.
    """

    action: str
    state: str | None = None
    attempt: int | None = None
    reason_code: str | None = None
    reason: str | None = None
    stripe_credit_note_id: str | None = None
    outcome_unknown: bool | None = False
    evidence: Mapping[str, Any] = field(default_factory=dict)
    log_note: str | None = None


def insert_credit_note(connection: Connection, new: NewCreditNote) -> str:
    """Write the credit note, its lines and its frozen request in the caller's transaction; returns its number."""
    last = connection.execute(text("SELECT last_number FROM billing.credit_note_numbering FOR UPDATE")).scalar_one()
    connection.execute(text("UPDATE billing.credit_note_numbering SET last_number = last_number + 1"))
    number = f"CN-{last + 1:08d}"
    lines = [
        {
            "credit_note_id": new.credit_note_id,
            "line_no": line_no,
            "invoice_id": new.invoice_id,
            "invoice_line_no": line.invoice_line_no,
            "description": line.description,
            "amount_minor": line.amount_minor,
        }
        for line_no, line in enumerate(new.lines, start=1)
    ]
    connection.execute(text(_INSERT_LINE), lines)
    body = frozen_request(
        note_id=new.credit_note_id,
        number=number,
        invoice_id=new.invoice_id,
        stripe_invoice_id=new.stripe_invoice_id,
        reason=new.reason,
        lines=new.lines,
        parts=new.parts,
    )
    values = {
        "credit_note_id": new.credit_note_id,
        "invoice_id": new.invoice_id,
        "amount_minor": sum(line.amount_minor for line in new.lines),
        "line_count": len(lines),
        "reduction_minor": new.parts.reduction_minor,
        "refund_minor": new.parts.refund_minor,
        "balance_minor": new.parts.balance_minor,
        "elsewhere_minor": new.parts.elsewhere_minor,
        "paid_minor": new.paid_minor,
        "credit_note_number": last + 1,
        "reason": new.reason,
        "author": new.author,
        "request_body": body,
        "settlement_id": new.settlement_id,
    }
    connection.execute(text(load_sql("corrections/credit_note_insert.sql")), values)
    connection.execute(text(_LOG), {**values, "number": number})
    return number


class CreditNoteStore:
    """The credit notes on one autocommit connection."""

    def __init__(self, connection: Connection, actor: str) -> None:
        self._connection = connection
        self._actor = actor

    def read(self, credit_note_id: str) -> tuple[CreditNote, dict[str, Any]]:
        """The credit note as it is now, and its frozen request."""
        row = dict(self._connection.execute(text(_READ), {"id": credit_note_id}).mappings().one())
        body: dict[str, Any] = json.loads(bytes(row.pop("request_body")))
        return CreditNote(**row, stripe_invoice_id=body["invoice"]), body

    def change(self, note: CreditNote, change: CreditNoteChange) -> CreditNote:
        """Change the credit note, if it is still in the state and attempt that `note` says.

        Raises:
            CreditNoteMoved: it is not; nothing was changed.
        """
        after = replace(note, state=change.state or note.state, attempt=change.attempt or note.attempt)
        changed = self._connection.execute(
            text(load_sql("corrections/credit_note_change.sql")),
            {
                "credit_note_id": note.credit_note_id,
                "from_state": note.state,
                "from_attempt": note.attempt,
                "state": after.state,
                "attempt": after.attempt,
                "reason_code": change.reason_code,
                "reason": change.reason,
                "stripe_credit_note_id": change.stripe_credit_note_id,
                "outcome_unknown": change.outcome_unknown,
                "actor": self._actor,
                "action": change.action,
                "evidence": json.dumps(dict(change.evidence)),
                "note": change.log_note,
            },
        ).rowcount
        if changed != 1:
            raise CreditNoteMoved(f"credit note {note.number} is no longer {note.state}, attempt {note.attempt}")
        return after


_READ = """
SELECT credit_note_id::text AS credit_note_id, number, invoice_id::text AS invoice_id, amount_minor, reduction_minor,
    currency, state, attempt, request_body
FROM billing.credit_notes WHERE credit_note_id = :id
"""
_INSERT_LINE = """
INSERT INTO billing.credit_note_lines
(credit_note_id, line_no, invoice_id, invoice_line_no, description, amount_minor)
VALUES (:credit_note_id, :line_no, :invoice_id, :invoice_line_no, :description, :amount_minor)
"""
_LOG = """
SELECT billing.log_action(
    :author, 'credit_note.issue', 'credit_note', CAST(:credit_note_id AS text), :reason,
    state_after => jsonb_build_object(
        'number', CAST(:number AS text), 'invoice_id', CAST(:invoice_id AS text),
        'amount_minor', CAST(:amount_minor AS bigint), 'reduction_minor', CAST(:reduction_minor AS bigint),
        'refund_minor', CAST(:refund_minor AS bigint), 'balance_minor', CAST(:balance_minor AS bigint),
        'elsewhere_minor', CAST(:elsewhere_minor AS bigint), 'settlement_id', CAST(:settlement_id AS bigint)
    )
)
"""
