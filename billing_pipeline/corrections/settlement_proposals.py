"""What is to be settled: proposals from the drift, approvals by people, policies. Nothing is carried out here."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature, required_author
from billing_pipeline.core.texts import shown
from billing_pipeline.postgres.errors import FOREIGN_KEY, database_reason, sqlstate, violated
from billing_pipeline.postgres.locks import lock_month
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

METHODS = ("ignore", "next_invoice", "at_once")
"""What a policy does about drift: nothing, a line of the next invoice, a credit note or an invoice at once."""
PAY_BACK = ("refund", "balance")
"""Where paid money goes."""


class SettlementRefused(UserError):  # noqa: N818 - reads as what happened
    """Nothing was changed; the text says why."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """What proposing did, counted: new proposals, those that stood, outdated ones withdrawn, and what is left alone."""

    new: int
    standing: int
    withdrawn: int
    left_alone: int


def propose(warehouse: Warehouse, month: date, *, author: str) -> Proposed:
    """Propose to settle what the month's drift, at its last look, leaves unsettled; by each customer's policy.

    An open proposal over another amount is withdrawn, because the difference has changed; one over the same stands.
    """
    author = required_author(author)
    with warehouse.transaction() as connection:
        lock_month(connection, month)
        due = connection.execute(text(_DUE), {"month": month}).mappings().all()
        wanted = {str(row["period_id"]): row for row in due if row["wanted"]}
        opened = connection.execute(text(_OPEN), {"month": month}).mappings().all()
        standing = set()
        changed = Signature(author, "the difference or the policy has changed")
        withdrawn = 0
        for known in opened:
            row = wanted.get(str(known["period_id"]))
            if row is not None and all(known[name] == row[name] for name in ("amount_minor", "method", "pay_back")):
                standing.add(str(known["period_id"]))
                continue
            _end(connection, known["settlement_id"], "withdrawn", changed)
            withdrawn += 1
        new = [row for period_id, row in wanted.items() if period_id not in standing]
        for row in new:
            values = {**row, "evidence": json.dumps(row["evidence"]), "author": author}
            connection.execute(text(load_sql("corrections/settlement_propose.sql")), values)
    left_alone = sum(not row["wanted"] for row in due)
    return Proposed(len(new), len(standing), withdrawn, left_alone)


def approve(warehouse: Warehouse, settlement_id: int, *, author: str) -> str:
    """Record one person's approval; returns the settlement's status after it.

    Raises:
        SettlementRefused: it is no proposal (any more), or this person has approved it already.
    """
    values = {"id": settlement_id, "author": required_author(author).lower()}
    try:
        with warehouse.transaction() as connection:
            connection.execute(text(_APPROVE), values)
            status = connection.execute(text(_STATUS), values).scalar_one()
    except DBAPIError as error:
        if violated(error) == "settlement_approvals_pkey":
            why = f"settlement {settlement_id}: {author} has approved it already, it needs somebody else"
        elif sqlstate(error) == FOREIGN_KEY:
            why = f"settlement {settlement_id}: there is none with this number"
        else:
            why = database_reason(error)
        raise SettlementRefused(why) from error
    return str(status)


def withdraw(warehouse: Warehouse, settlement_id: int, signature: Signature) -> None:
    """End a proposal without carrying it out. `propose` may propose the difference again.

    Raises:
        SettlementRefused: it is applied or withdrawn already, or unknown.
    """
    with warehouse.transaction() as connection:
        if _end(connection, settlement_id, "withdrawn", signature) != 1:
            raise SettlementRefused(f"settlement {settlement_id} is no open proposal")


def set_policy(
    warehouse: Warehouse,
    scope_type: str,
    scope: str,
    *,
    method: str,
    pay_back: str,
    threshold_minor: int,
    two_people_above_minor: int,
    author: str,
) -> None:
    """Set the policy of a book (`scope` is its currency) or of a customer; proposals that are open keep theirs.

    Raises:
        SettlementRefused: there is no such book or customer, or the method or the way of money is none.
    """
    for name, given, possible in (("method", method, METHODS), ("pay_back", pay_back, PAY_BACK)):
        if given not in possible:
            raise SettlementRefused(f'{name} "{shown(given)}": expected one of {", ".join(possible)}')
    known = {
        "book": "SELECT EXISTS (SELECT FROM billing.price_books WHERE currency = :scope)",
        "customer": "SELECT EXISTS (SELECT FROM billing.customers WHERE customer_id = :scope)",
    }
    if not warehouse.scalar(known[scope_type], scope=scope):
        raise SettlementRefused(f'{scope_type} "{scope}": expected one that exists')
    values: dict[str, Any] = {
        "scope_type": scope_type,
        "scope": scope,
        "method": method,
        "pay_back": pay_back,
        "threshold_minor": threshold_minor,
        "two_people_above_minor": two_people_above_minor,
        "author": required_author(author),
    }
    with warehouse.transaction() as connection:
        connection.execute(text(load_sql("corrections/settlement_policy.sql")), values)


def _end(connection: Connection, settlement_id: int, status: str, signature: Signature) -> int:
    return connection.execute(
        text(_END), {"id": settlement_id, "status": status, "author": signature.author, "reason": signature.reason}
    ).rowcount


_DUE = """
SELECT u.billing_month, u.customer_id, u.period_id, u.currency, u.left_minor AS amount_minor, p.method, p.pay_back,
    p.method <> 'ignore' AND abs(u.left_minor) >= p.threshold_minor AS wanted,
    jsonb_build_object(
        'drift_minor', u.drift_minor, 'settled_minor', u.settled_minor, 'reasons', u.reasons, 'lines', u.lines
    ) AS evidence
FROM billing.unsettled_drift AS u CROSS JOIN LATERAL billing.settlement_policy(u.customer_id) AS p
WHERE u.billing_month = :month AND u.left_minor <> 0
ORDER BY u.customer_id COLLATE "C", u.period_id
"""
_OPEN = """
SELECT settlement_id, period_id, amount_minor, method, pay_back FROM billing.settlements
WHERE billing_month = :month AND status IN ('proposed', 'approved') FOR UPDATE
"""
_APPROVE = """
WITH approved AS (
    INSERT INTO billing.settlement_approvals (settlement_id, author) VALUES (:id, :author) RETURNING *
)
SELECT billing.log_action(author, 'settlement.approve', 'settlement', settlement_id::text) FROM approved
"""
_STATUS = "SELECT status FROM billing.settlements WHERE settlement_id = :id"
_END = """
WITH ended AS (
    UPDATE billing.settlements
    SET status = :status, ended_by = :author, ended_at = clock_timestamp(), end_reason = :reason
    WHERE settlement_id = :id AND status IN ('proposed', 'approved')
    RETURNING *
)
SELECT billing.log_action(ended_by, 'settlement.' || status, 'settlement', settlement_id::text, end_reason) FROM ended
"""
