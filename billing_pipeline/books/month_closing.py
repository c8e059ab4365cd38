"""Close a month: compare the books, prove that they agree to the minor unit, record the proof. Then nothing changes.

The database refuses to close what is not settled, was not compared, or has changed since (billing.check_closing), and
refuses every change to the month's records from then on, whoever asks.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.books.audit_chain import head, seal_within
from billing_pipeline.books.catching_up import catch_up
from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.books.rules.month_proof import NotProven, prove
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import required_author
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.objects import StripeObjects


class NotClosed(UserError):  # noqa: N818 - reads as what happened
    """The month stays open; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class ClosedMonth:
    """A closed month and its proof, as recorded. `now`: whether this call closed it."""

    month: date
    closed_at: datetime
    closed_by: str
    invoice_count: int
    stripe_invoice_count: int
    payment_count: int
    totals: dict[str, dict[str, int]]
    digests: dict[str, str]
    audit_head: str
    now: bool


def close_month(
    warehouse: Warehouse,
    api: StripeObjects,
    month: date,
    *,
    author: str,
    run_id: str,
    now: datetime,
    cipher: EventCipher | None = None,
) -> ClosedMonth:
    """Close a month, or show the proof of one that is closed, after checking that our side still has its digest.

    With a `cipher`, events that are not here are fetched and processed before the books are compared.

    Raises:
        NotClosed: the books do not agree, something is not settled or changed meanwhile, or there is nothing to close.
        StripeFailure: Stripe could not be asked.
    """
    author = required_author(author)
    closed = _closed(warehouse, month)
    if closed is not None:
        return closed
    name = f"{month:%Y-%m}"
    waiting = warehouse.rows(_NOT_FINAL, month=month)[0]
    if waiting["drafts"]:
        raise NotClosed(f"{name} is not closed: {waiting['drafts']} draft(s) are not finalised")
    if not waiting["invoices"]:
        raise NotClosed(f"{name} is not closed: it has no invoices")
    if undecided := warehouse.scalar(_UNDECIDED, month=month):
        raise NotClosed(
            f"{name} is not closed: {undecided} was voided at Stripe and not by us, and nobody has decided what bills"
            " its period; `billing charges status` lists the choices"
        )
    if cipher is not None:
        catch_up(warehouse, api, cipher, run_id, now)
    before = warehouse.scalar("SELECT billing.month_digest(:month)", month=month)
    compared = compare_with_stripe(warehouse, api, run_id, now, month=month, on_the_way=timedelta())
    if compared.differences:
        first = compared.differences[0]
        about = f"{first.stripe_id} of {first.invoice_name}" if first.stripe_id else first.invoice_name
        raise NotClosed(
            f"{name} is not closed: {len(compared.differences)} difference(s), such as {first.object_type}"
            f" {about}: {first.kind}, ours {first.ours}, Stripe's {first.theirs};"
            f" `billing reconcile --month {name}` lists them"
        )
    try:
        proof = prove(compared.books)
    except NotProven as error:
        raise NotClosed(f"{name} is not closed: {error}") from None
    parameters: dict[str, Any] = {
        "month": month,
        "author": author,
        "run_id": run_id,
        "reconciliation_id": compared.reconciliation_id,
        "invoice_count": waiting["invoices"],
        "stripe_invoice_count": proof.stripe_invoice_count,
        "payment_count": proof.payment_count,
        "totals": json.dumps(proof.totals),
        "invoices_sha256": before,
        "stripe_invoices_sha256": proof.stripe_invoices_sha256,
        "payments_sha256": proof.payments_sha256,
    }
    try:
        with warehouse.transaction() as connection:
            seal_within(connection)
            newest = head(connection)
            parameters |= {"audit_seal_no": newest.seal_no, "audit_seal": bytes.fromhex(newest.seal)}
            closed_now = connection.execute(text(_CLOSE), parameters).rowcount == 1
            if closed_now:
                connection.execute(text(_LOG), parameters)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise NotClosed(f"{name} is not closed: {database_reason(error)}") from error
    recorded = _closed(warehouse, month, now=closed_now)
    assert recorded is not None  # noqa: S101 - it was closed above, by us or by somebody who was quicker
    return recorded


def _closed(warehouse: Warehouse, month: date, *, now: bool = False) -> ClosedMonth | None:
    rows = warehouse.rows(_PROOF, month=month)
    if not rows:
        return None
    row = rows[0]
    digests = {name: bytes(row[name]).hex() for name in ("invoices", "stripe_invoices", "payments")}
    if bytes(row["found"]).hex() != digests["invoices"]:
        raise NotClosed(
            f"{month:%Y-%m} was closed on {row['closed_at']:%Y-%m-%d} and its records have another digest today:"
            " somebody changed them past the triggers"
        )
    return ClosedMonth(
        month=month,
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
        invoice_count=row["invoice_count"],
        stripe_invoice_count=row["stripe_invoice_count"],
        payment_count=row["payment_count"],
        totals=row["totals"],
        digests=digests,
        audit_head=row["audit_head"],
        now=now,
    )


_NOT_FINAL = """
SELECT count(*) AS invoices, count(*) FILTER (WHERE status = 'draft') AS drafts
FROM billing.invoices WHERE billing_month = :month
"""
_UNDECIDED = "SELECT min(number) FROM billing.voids_to_decide WHERE billing_month = :month"
_CLOSE = """
UPDATE billing.month_books SET closed_at = clock_timestamp(), closed_by = :author,
    reconciliation_id = :reconciliation_id, invoice_count = :invoice_count,
    stripe_invoice_count = :stripe_invoice_count, payment_count = :payment_count, totals = CAST(:totals AS jsonb),
    invoices_sha256 = :invoices_sha256, stripe_invoices_sha256 = :stripe_invoices_sha256,
    payments_sha256 = :payments_sha256, audit_seal_no = :audit_seal_no, audit_seal = :audit_seal
WHERE billing_month = :month AND closed_at IS NULL
"""
_LOG = """
SELECT billing.log_action(
    :author, 'month.close', 'month', CAST(CAST(:month AS date) AS text), run_id => :run_id,
    state_after => jsonb_build_object(
        'invoices', CAST(:invoice_count AS bigint), 'stripe_invoices', CAST(:stripe_invoice_count AS bigint),
        'payments', CAST(:payment_count AS bigint), 'totals', CAST(:totals AS jsonb),
        'invoices_sha256', encode(CAST(:invoices_sha256 AS bytea), 'hex'),
        'audit_head', CAST(:audit_seal_no AS bigint) || ':' || encode(CAST(:audit_seal AS bytea), 'hex')
    )
)
"""
_PROOF = """
SELECT closed_at, closed_by, invoice_count, stripe_invoice_count, payment_count, totals, invoices_sha256 AS invoices,
    stripe_invoices_sha256 AS stripe_invoices, payments_sha256 AS payments,
    audit_seal_no || ':' || encode(audit_seal, 'hex') AS audit_head, billing.month_digest(billing_month) AS found
FROM billing.month_books WHERE billing_month = :month AND closed_at IS NOT NULL
"""
