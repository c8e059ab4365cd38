"""Whether a month is settled: our charges against Stripe's own list. Changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from billing_pipeline.charging.month import list_ours
from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.charging.store import listing_start
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice, StripeApi


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that is wrong with one invoice, in words; `waiting`: only that its charge has no answer yet."""

    invoice_id: str
    number: str
    customer_id: str
    problem: str
    waiting: bool = False


_WAITING = "is not charged yet"
_NEVER_BEGUN = "was finalised more than a day ago and no run could begin to charge it"


def verify_month(warehouse: Warehouse, api: StripeApi, month: date) -> list[Discrepancy]:
    """What is wrong with the month's finalised invoices; empty when all is well.

    Each must have a charge that is paid, on hold or has a named reason; its one live invoice at Stripe, found by
    metadata, must have our total, currency and status. A named reason does not excuse another total or a second
    invoice.

    Raises:
        StripeFailure: Stripe could not be asked.
    """
    rows = warehouse.rows(_FINAL, month=month)
    if not rows:
        return []
    listed = list_ours(api, listing_start(warehouse, month), [row["invoice_id"] for row in rows])
    return [
        Discrepancy(row["invoice_id"], row["number"], row["customer_id"], problem, problem.startswith(_WAITING))
        for row in rows
        for problem in _problems(row, listed.get(row["invoice_id"], ()))
    ]


def _problems(row: dict[str, Any], listed: Sequence[ListedInvoice]) -> Iterator[str]:
    state = row["state"]
    if state is None:
        yield "has no charge intent"
    elif state in WORKABLE and not row["held"]:
        yield _waits(row)
    live = [invoice for invoice in listed if invoice.is_live]
    if len(live) > 1:
        yield f"has more than one invoice at Stripe: {', '.join(sorted(invoice.id for invoice in live))}"
    if row["stripe_invoice_id"] and row["stripe_invoice_id"] not in {invoice.id for invoice in listed}:
        yield f"its invoice {row['stripe_invoice_id']} is not in Stripe's list"
    for invoice in live:
        if (invoice.total_minor, invoice.currency) != (row["due_minor"], row["currency"]):
            theirs, ours = f"{invoice.total_minor} {invoice.currency}", f"{row['due_minor']} {row['currency']}"
            yield f"{invoice.id} has a total of {theirs}, ours is {ours}"
        if (invoice.status == "paid") != (state == "paid"):
            yield f"{invoice.id} is {invoice.status} at Stripe, ours is {state}"


def _waits(row: dict[str, Any]) -> str:
    if row["never_begun"]:
        return f"{_NEVER_BEGUN}: {row['reason_code'] or 'no run has come to it'} ({row['reason'] or row['state']})"
    return f"{_WAITING}: {'it waits for a bank' if row['waits_for_bank'] else row['state']}"


_FINAL = """
SELECT i.invoice_id::text AS invoice_id, i.number, i.customer_id, i.due_minor, i.currency,
    c.state, c.stripe_invoice_id, c.state = 'finalized' AND c.bank_payment_id IS NOT NULL AS waits_for_bank,
    c.state = 'intended' AND c.stripe_customer_id IS NULL AND c.created_at < clock_timestamp() - interval '1 day'
        AS never_begun, c.reason_code, c.reason,
    billing.is_held(i.customer_id, i.invoice_id, i.billing_month) AS held
FROM billing.invoices AS i LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE i.billing_month = :month AND i.status <> 'draft'
ORDER BY i.invoice_number
"""
