"""Refunds that failed at Stripe: what a person decides about each, carried out once.

Stripe gives the money back to the account, not to the customer, and does not try again by itself
(https://docs.stripe.com/refunds#failed-refunds).
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.correcting_api import RepayingApi
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


@dataclass(frozen=True, slots=True)
class FailedRefund:
    """A refund that failed at Stripe, as people look at it, and what was decided about it.

    `invoice` is a number, `status` what Stripe says of the refund. `state`: open, intended or settled. While it is
    open, `method`, `author` and `reason` are empty.
    """

    refund_id: str
    invoice: str
    customer: str
    amount_minor: int
    currency: str
    status: str
    state: str
    method: str
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Repaying:
    """A failed refund as it is carried out: what was decided about it, and what it went back to at Stripe."""

    refund_id: str
    amount_minor: int
    currency: str
    state: str
    method: str
    attempt: int
    author: str
    reason: str
    stripe_id: str | None
    stripe_customer_id: str | None
    payment_intent_id: str | None


def failed_refunds(warehouse: Warehouse, *, settled: bool = False) -> list[FailedRefund]:
    """The refunds that failed, those that wait for a person first; `settled`: the others too."""
    return [FailedRefund(**row) for row in warehouse.rows(_LIST, settled=settled)]


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
    invoice = find_invoice(warehouse, str(found))
    with exclusive(warehouse, invoice.invoice_id, signature.author, label=invoice.label) as charges:
        connection = charges.connection
        refund = _read(connection, refund_id)
        if refund.state == "settled":
            raise RepaymentRefused(f"refund {refund_id} was settled by {refund.author}: {_how_it_was_settled(refund)}")
        if refund.state == "open":
            state = "settled" if to == ELSEWHERE else "intended"
            _move(connection, refund, "refund.decide", signature, state=state, method=to)
            refund = _read(connection, refund_id)
        if refund.state == "intended":
            _carry_out(connection, api, refund, signature.author)
            refund = _read(connection, refund_id)
    return Repaid(refund_id, refund.amount_minor, refund.currency, refund.method, refund.stripe_id)


def _carry_out(connection: Connection, api: RepayingApi, refund: _Repaying, author: str) -> None:
    key = f"{refund.refund_id}:repay:{refund.attempt}"
    look, make = _calls(api, refund, key)
    for _ in range(UNKNOWN_MAX):
        try:
            made = look() or make()
        except StripeFailure as failure:
            if failure.outcome is Outcome.STOP:
                raise
            # Stripe keeps a 5xx answer under its idempotency key and repeats it: that request has ended
            over = failure.outcome in _DEFINITE or failure.evidence.replayed
            if over and _nothing_came_of_it(look):
                _move(connection, refund, "refund.refused", Signature(author, str(failure)), state="open", method=None)
                raise RepaymentRefused(f"refund {refund.refund_id} waits for another decision: {failure}") from None
            continue
        decided = Signature(author, refund.reason)
        _move(connection, refund, "stripe.repay", decided, state="settled", method=refund.method, made=made)
        return
    raise RepaymentRefused(f"refund {refund.refund_id}: no definite answer from Stripe; run it again")


def _nothing_came_of_it(look: Callable[[], str | None]) -> bool:
    """Whether nothing at Stripe repays it. If the customer or payment that it was to go to is gone, nothing does."""
    try:
        return look() is None
    except StripeFailure as failure:
        return failure.evidence.kind == "not_found"


def _calls(api: RepayingApi, refund: _Repaying, key: str) -> tuple[Callable[[], str | None], Callable[[], str]]:
    refund_id, amount = refund.refund_id, refund.amount_minor
    if refund.method == BALANCE:
        customer = str(refund.stripe_customer_id)
        return (
            lambda: api.repaid_to_balance(customer, refund_id),
            lambda: api.repay_to_balance(customer, amount, refund.currency, refund_id, key=key),
        )
    intent = str(refund.payment_intent_id)
    return (
        lambda: api.repaid_to_card(intent, refund_id),
        lambda: api.repay_to_card(intent, amount, refund_id, key=key),
    )


def _how_it_was_settled(refund: _Repaying) -> str:
    return refund.reason if refund.method == ELSEWHERE else f"{refund.method}, {refund.stripe_id}"


def _read(connection: Connection, refund_id: str) -> _Repaying:
    return _Repaying(**connection.execute(text(_READ), {"id": refund_id}).mappings().one())


def _move(
    connection: Connection,
    refund: _Repaying,
    action: str,
    signature: Signature,
    *,
    state: str,
    method: str | None,
    made: str | None = None,
) -> None:
    """One statement, which re-checks the state and writes the audit log with it."""
    values = {
        "id": refund.refund_id,
        "from_state": refund.state,
        "state": state,
        "method": method,
        "author": (refund.author or signature.author) if method else None,
        "reason": (refund.reason or signature.reason) if method else None,
        "made": made,
        "actor": signature.author,
        "action": action,
        "why": signature.reason,
    }
    if connection.execute(text(load_sql("corrections/failed_refund_move.sql")), values).rowcount != 1:
        raise RepaymentRefused(f"refund {refund.refund_id}: somebody else decided meanwhile")


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
SELECT f.refund_id, f.amount_minor, f.currency, f.state, coalesce(f.method, '') AS method, f.attempt,
    coalesce(f.author, '') AS author, coalesce(f.reason, '') AS reason, f.stripe_id, c.stripe_customer_id,
    r.payment_intent_id
FROM billing.failed_refunds AS f
JOIN billing.stripe_refunds AS r USING (refund_id)
JOIN billing.stripe_charges AS c ON c.invoice_id = f.invoice_id
WHERE f.refund_id = :id
"""
