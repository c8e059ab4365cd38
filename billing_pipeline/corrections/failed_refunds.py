"""Refunds that failed at Stripe: what a person decides about each, carried out once.

Stripe gives the money back to the account, not to the customer, and does not try again by itself
(https://docs.stripe.com/refunds#failed-refunds).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.charging.exclusive import in_own_hands
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import RepayingApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

BALANCE, CARD, ELSEWHERE = "balance", "card", "elsewhere"
UNKNOWN_MAX = 3
_DEFINITE = (Outcome.REFUSED, Outcome.PARK, Outcome.ASK)


class RepaymentRefused(UserError):  # noqa: N818 - reads as what happened
    """It was not repaid like this; the text says why, and whether it may still be."""


@dataclass(frozen=True, slots=True)
class Repaid:
    """How the customer got the money of a failed refund. `stripe_id` is None for what was paid outside Stripe."""

    refund_id: str
    amount_minor: int
    currency: str
    method: str
    stripe_id: str | None


def failed_refunds(warehouse: Warehouse, *, settled: bool = False) -> list[dict[str, Any]]:
    """The refunds that failed, those that wait for a person first; `settled`: the others too."""
    return warehouse.rows(_LIST, settled=settled)


def repay(warehouse: Warehouse, api: RepayingApi, refund_id: str, signature: Signature, *, to: str) -> Repaid:
    """Give the customer the money of a refund that failed: on its balance, to the card once more, or outside Stripe.

    What was decided is written before Stripe is asked, and what it made is found by its metadata: run again after it
    was cut off it goes on with the same decision, whichever is given.

    Raises:
        RepaymentRefused: no such refund failed, it is settled, or Stripe refused or gave no definite answer.
        InvoiceBusy: somebody else is at work on its invoice.
        StripeFailure: Stripe does not accept the key.
    """
    found = warehouse.scalar("SELECT invoice_id::text FROM billing.failed_refunds WHERE refund_id = :id", id=refund_id)
    if found is None:
        raise RepaymentRefused(f'refund "{refund_id}": expected one of `billing credit refunds`, found none')
    with in_own_hands(warehouse, find_invoice(warehouse, str(found)), signature.author) as (connection, _):
        row = _read(connection, refund_id)
        if row["state"] == "settled":
            raise RepaymentRefused(f"refund {refund_id} was settled by {row['author']}: {_said(row)}")
        if row["state"] == "open":
            state = "settled" if to == ELSEWHERE else "intended"
            _move(connection, row, "refund.decide", signature, state=state, method=to)
            row = _read(connection, refund_id)
        if row["state"] == "intended":
            _carry_out(connection, api, row, signature.author)
            row = _read(connection, refund_id)
    return Repaid(refund_id, row["amount_minor"], row["currency"], row["method"], row["stripe_id"])


def _carry_out(connection: Connection, api: RepayingApi, row: dict[str, Any], author: str) -> None:
    key = f"{row['refund_id']}:repay:{row['attempt']}"
    look, make = _calls(api, row, key)
    for _ in range(UNKNOWN_MAX):
        try:
            made = look() or make()
        except StripeFailure as failure:
            if failure.outcome is Outcome.STOP:
                raise
            # a stored 5xx that is repeated has ended, and its key gives nothing else any more
            over = failure.outcome in _DEFINITE or failure.evidence.replayed
            if over and _nothing_came_of_it(look):
                _move(connection, row, "refund.refused", Signature(author, str(failure)), state="open", method=None)
                raise RepaymentRefused(f"refund {row['refund_id']} waits for another decision: {failure}") from None
            continue
        _move(
            connection,
            row,
            "stripe.repay",
            Signature(author, row["reason"]),
            state="settled",
            method=row["method"],
            made=made,
        )
        return
    raise RepaymentRefused(f"refund {row['refund_id']}: no definite answer from Stripe; run it again")


def _nothing_came_of_it(look: Callable[[], str | None]) -> bool:
    """Whether nothing at Stripe repays it. What it was to go to may be gone: then nothing is there."""
    try:
        return look() is None
    except StripeFailure as failure:
        return failure.evidence.kind == "not_found"


def _calls(api: RepayingApi, row: dict[str, Any], key: str) -> tuple[Callable[[], str | None], Callable[[], str]]:
    refund, amount = row["refund_id"], row["amount_minor"]
    if row["method"] == BALANCE:
        customer = str(row["stripe_customer_id"])
        return (
            lambda: api.repaid_to_balance(customer, refund),
            lambda: api.repay_to_balance(customer, amount, row["currency"], refund, key=key),
        )
    intent = str(row["payment_intent_id"])
    return (
        lambda: api.repaid_to_card(intent, refund),
        lambda: api.repay_to_card(intent, amount, refund, key=key),
    )


def _said(row: dict[str, Any]) -> str:
    return row["reason"] if row["method"] == ELSEWHERE else f"{row['method']}, {row['stripe_id']}"


def _read(connection: Connection, refund_id: str) -> dict[str, Any]:
    return dict(connection.execute(text(_READ), {"id": refund_id}).mappings().one())


def _move(
    connection: Connection,
    row: dict[str, Any],
    action: str,
    signature: Signature,
    *,
    state: str,
    method: str | None,
    made: str | None = None,
) -> None:
    """One statement, which re-checks the state and writes the audit log with it."""
    values = {
        "id": row["refund_id"],
        "from_state": row["state"],
        "state": state,
        "method": method,
        "author": (row["author"] or signature.author) if method else None,
        "reason": (row["reason"] or signature.reason) if method else None,
        "made": made,
        "actor": signature.author,
        "action": action,
        "why": signature.reason,
    }
    if connection.execute(text(_MOVE), values).rowcount != 1:
        raise RepaymentRefused(f"refund {row['refund_id']}: somebody else decided meanwhile")


_LIST = """
SELECT f.refund_id, i.number AS invoice, i.customer_id AS customer, f.amount_minor, f.currency, r.status, f.state,
    coalesce(f.method, '') AS method, coalesce(f.author, '') AS author, coalesce(f.reason, '') AS reason
FROM billing.failed_refunds AS f
JOIN billing.stripe_refunds AS r USING (refund_id)
JOIN billing.invoices AS i ON i.invoice_id = f.invoice_id
WHERE f.state <> 'settled' OR :settled
ORDER BY f.state = 'settled', f.noticed_at
"""
_READ = """
SELECT f.refund_id, f.amount_minor, f.currency, f.state, f.method, f.attempt, f.author, f.reason, f.stripe_id,
    c.stripe_customer_id, r.payment_intent_id
FROM billing.failed_refunds AS f
JOIN billing.stripe_refunds AS r USING (refund_id)
JOIN billing.stripe_charges AS c ON c.invoice_id = f.invoice_id
WHERE f.refund_id = :id
"""
_MOVE = """
WITH moved AS (
    UPDATE billing.failed_refunds SET
        state = :state, method = :method, author = :author, reason = :reason, stripe_id = :made,
        attempt = attempt + (state = 'intended' AND CAST(:state AS text) = 'open')::integer,
        settled_at = CASE WHEN CAST(:state AS text) = 'settled' THEN clock_timestamp() END
    WHERE refund_id = :id AND state = :from_state
    RETURNING *
)
INSERT INTO billing.automation_log (actor, action, object_type, object_id, reason, state_before, state_after)
SELECT :actor, :action, 'refund', refund_id, :why, jsonb_build_object('state', CAST(:from_state AS text)),
    jsonb_build_object('state', state, 'method', method, 'amount_minor', amount_minor, 'stripe_id', stripe_id)
FROM moved
"""
