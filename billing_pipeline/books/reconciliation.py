"""Compare our books with Stripe's lists and keep what differs. Nothing is changed but the record of the comparison.

The rules are rules/reconciliation.py's. What moves while it is compared is no difference: what was found is looked
for a second time, and only what is there again, in the same words, counts. Charging after a change of the database is
let on again by another comparison, which is allowed to write: charging/failover.py.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import text

from billing_pipeline.books.catching_up import catch_up
from billing_pipeline.books.rules.both_books import Books, Difference, Known, OurCharge
from billing_pipeline.books.rules.reconciliation import compare, ours_of
from billing_pipeline.charging.store import listing_start
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.objects import CreditNote, Dispute, Payment, Refund, StripeObjects

ON_THE_WAY = timedelta(minutes=15)
"""How long an event may take to be applied before what it tells is missed."""

_Dated = TypeVar("_Dated", Payment, Refund, CreditNote, Dispute)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison: its number in stripe_reconciliations, both sides, and what differs."""

    reconciliation_id: int
    books: Books
    differences: tuple[Difference, ...]


def compare_with_stripe(
    warehouse: Warehouse,
    api: StripeObjects,
    run_id: str,
    now: datetime,
    *,
    month: date | None = None,
    with_events: bool = True,
    on_the_way: timedelta = ON_THE_WAY,
    cipher: EventCipher | None = None,
) -> Comparison:
    """Compare a month, or every month that is not closed, and enter the result.

    Args:
        warehouse: the billing database.
        api: Stripe.
        run_id: who compares.
        now: what time it is at Stripe.
        month: None: every month that is not closed.
        with_events: whether Stripe's payments must have been told us by events, too. Right after charging they are
            compared with the charges alone.
        on_the_way: how old a payment, refund, credit note or dispute must be to be missed.
        cipher: given: events that are not here are fetched and processed first.

    Raises:
        StripeFailure: Stripe could not be asked; nothing was entered.
    """
    if cipher is not None:
        catch_up(warehouse, api, cipher, run_id, now)
    months = [month] if month is not None else _open_months(warehouse)
    start = min((listing_start(warehouse, one) for one in months), default=0)
    read = _Reader(warehouse, api, months, month, start, now - on_the_way, with_events)
    books = read.books()
    found = compare(books) if months else []
    if found:
        books = read.books()
        again = set(compare(books))
        found = [difference for difference in found if difference in again]
    return Comparison(_enter(warehouse, month, start, books, found, run_id), books, tuple(found))


def _open_months(warehouse: Warehouse) -> list[date]:
    rows = warehouse.rows(
        "SELECT DISTINCT billing_month FROM billing.stripe_charges WHERE billing_month NOT IN ("
        " SELECT billing_month FROM billing.month_books WHERE closed_at IS NOT NULL) ORDER BY 1"
    )
    return [row["billing_month"] for row in rows]


@dataclass(frozen=True, slots=True)
class _Reader:
    warehouse: Warehouse
    api: StripeObjects
    months: Collection[date]
    only: date | None
    start: int
    young_from: datetime
    with_events: bool

    def books(self) -> Books:
        """Stripe's lists first: what is charged in between is then ahead here, and found equal the second time."""
        if not self.months:
            return Books({}, (), None, {}, {}, {}, (), (), (), ())
        invoices = ours_of(self.api.list_books(self.start))
        named = {str(one.invoice_id) for one in invoices}
        at_stripe = {one.stripe_invoice_id for one in invoices}
        payments = [one for one in self.api.list_payments(self.start) if one.stripe_invoice_id in at_stripe]
        intents = {payment.payment_intent_id for payment in payments}
        refunds = [one for one in self.api.list_refunds(self.start) if one.payment_intent_id in intents]
        notes = [one for one in self.api.list_credit_notes(self.start) if one.stripe_invoice_id in at_stripe]
        disputes = [one for one in self.api.list_disputes(self.start) if one.payment_intent_id in intents]
        charges = {row["invoice_id"]: OurCharge(**row) for row in self._rows(_CHARGES)}
        return Books(
            charges=charges,
            elsewhere=self._elsewhere(named - charges.keys()),
            months=None if self.only is None else {self.only.isoformat()},
            payments_here=self._known(_PAYMENTS) if self.with_events else None,
            refunds_here=self._known(_REFUNDS),
            credit_notes_here=self._known(_CREDIT_NOTES),
            invoices=invoices,
            payments=payments,
            refunds=refunds,
            credit_notes=notes,
            disputes_here=self._known(_DISPUTES),
            disputes=disputes,
            decided=frozenset(row["id"] for row in self.warehouse.rows(_DECIDED)),
            adopted=frozenset(row["id"] for row in self.warehouse.rows(_ADOPTED)),
            young=frozenset(
                {
                    *(one.payment_id for one in self._young(payments)),
                    *(one.refund_id for one in self._young(refunds)),
                    *(one.credit_note_id for one in self._young(notes)),
                    *(one.dispute_id for one in self._young(disputes)),
                }
            ),
        )

    def _young(self, objects: Iterable[_Dated]) -> list[_Dated]:
        return [one for one in objects if one.created_at > self.young_from]

    def _rows(self, query: str) -> list[dict[str, Any]]:
        return self.warehouse.rows(query, months=list(self.months))

    def _known(self, query: str) -> dict[str, Known]:
        return {row.pop("stripe_id"): Known(**row) for row in self._rows(query)}

    def _elsewhere(self, invoice_ids: Collection[str]) -> frozenset[str]:
        rows = self.warehouse.rows(
            "SELECT invoice_id::text AS id FROM billing.stripe_charges WHERE invoice_id = ANY(CAST(:ids AS uuid[]))",
            ids=list(invoice_ids),
        )
        return frozenset(row["id"] for row in rows)


def _enter(
    warehouse: Warehouse, month: date | None, start: int, books: Books, found: list[Difference], run_id: str
) -> int:
    with warehouse.transaction() as connection:
        number = connection.execute(
            text(_ENTER),
            {
                "month": month,
                "start": start,
                "charges": len(books.charges),
                "invoices": len(books.invoices),
                "payments": len(books.payments),
                "refunds": len(books.refunds),
                "credit_notes": len(books.credit_notes),
                "disputes": len(books.disputes),
                "differences": len(found),
                "run_id": run_id,
            },
        ).scalar_one()
        if found:
            rows = [
                {**asdict(difference), "number": number, "difference_no": position}
                for position, difference in enumerate(found, start=1)
            ]
            connection.execute(text(_ENTER_DIFFERENCE), rows)
    return int(number)


_CHARGES = """
SELECT c.invoice_id::text AS invoice_id, coalesce(i.number, c.invoice_id::text) AS number, c.customer_id,
    c.billing_month::text AS billing_month, c.state, c.amount_minor AS total_minor, c.currency, c.stripe_invoice_id
FROM billing.stripe_charges AS c LEFT JOIN billing.invoices AS i USING (invoice_id) WHERE c.billing_month = ANY(:months)
"""
_PAYMENTS = """
SELECT p.payment_id AS stripe_id, p.invoice_id::text AS invoice_id, p.paid_minor AS amount_minor, p.currency, p.status
FROM billing.stripe_payments AS p JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE c.billing_month = ANY(:months) AND p.status = 'paid'
"""
_REFUNDS = """
SELECT r.refund_id AS stripe_id, r.invoice_id::text AS invoice_id, r.amount_minor, r.currency, r.status
FROM billing.stripe_refunds AS r JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE c.billing_month = ANY(:months)
"""
_CREDIT_NOTES = """
SELECT n.credit_note_id AS stripe_id, n.invoice_id::text AS invoice_id, n.total_minor AS amount_minor, n.currency,
    n.status
FROM billing.stripe_credit_notes AS n JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE c.billing_month = ANY(:months)
"""
_DISPUTES = """
SELECT d.dispute_id AS stripe_id, d.invoice_id::text AS invoice_id, d.taken_back_minor AS amount_minor, d.currency,
    d.status
FROM billing.stripe_disputes AS d JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE c.billing_month = ANY(:months)
"""
_DECIDED = "SELECT dispute_id AS id FROM billing.dispute_decisions"
_ADOPTED = """
SELECT adopted_stripe_invoice_id AS id FROM billing.unbilled_periods
WHERE adopted_stripe_invoice_id IS NOT NULL AND lifted_at IS NULL
"""
_ENTER = """
INSERT INTO billing.stripe_reconciliations (
    billing_month, window_start, charge_count, stripe_invoice_count, stripe_payment_count, stripe_refund_count,
    stripe_credit_note_count, stripe_dispute_count, difference_count, run_id
) VALUES (
    :month, to_timestamp(:start), :charges, :invoices, :payments, :refunds, :credit_notes, :disputes, :differences,
    :run_id
)
RETURNING reconciliation_id
"""
_ENTER_DIFFERENCE = """
INSERT INTO billing.stripe_differences (
    reconciliation_id, difference_no, object_type, kind, stripe_id, invoice_id, ours, theirs, proposed_action
) VALUES (
    :number, :difference_no, :object_type, :kind, :stripe_id, CAST(:invoice_id AS uuid), :ours, :theirs,
    :proposed_action
)
"""
