"""Whether every number of the demo's month adds up: our tables against the seed, against themselves, against Stripe.

Each check counts anew from the rows; none asks the code that wrote them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from billing_pipeline.core.money import format_minor, to_minor
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.account import FoundInvoice
from billing_pipeline.sandbox.demo.population import EXAMPLES, population
from billing_pipeline.sandbox.demo.usage import QUARANTINED


@dataclass(frozen=True, slots=True)
class Check:
    """A statement about the month, what it was counted from, and everything that contradicts it."""

    statement: str
    evidence: str
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Nothing contradicts."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Month:
    """What Postgres has of the month. Rows are those of the queries below."""

    month: date
    invoices: Sequence[Mapping[str, Any]]
    lines: Sequence[Mapping[str, Any]]
    quarantine: Sequence[Mapping[str, Any]]
    coverage: Sequence[Mapping[str, Any]]
    unbalanced_usage: Sequence[Mapping[str, Any]]
    event_count: int
    all_invoice_ids: frozenset[str]
    """Of every month."""
    numbers: tuple[int, int]
    """Finalised invoices of every month, and the highest number."""


def read_month(warehouse: Warehouse, month: date) -> Month:
    """Read the month's rows."""
    usage = warehouse.rows(_USAGE, month=month)
    finalised = warehouse.rows(_NUMBERS)[0]
    return Month(
        month=month,
        invoices=warehouse.rows(_INVOICES, month=month),
        lines=warehouse.rows(_LINES, month=month),
        quarantine=warehouse.rows(_QUARANTINE, month=month),
        coverage=warehouse.rows(_COVERAGE, month=month),
        unbalanced_usage=[row for row in usage if row["events"] != row["accounted"]],
        event_count=sum(int(row["events"]) for row in usage),
        all_invoice_ids=frozenset(row["invoice_id"] for row in warehouse.rows(_ALL_IDS)),
        numbers=(int(finalised["count"]), int(finalised["last"])),
    )


def reconcile(month: Month, at_stripe: Sequence[FoundInvoice], payments: Mapping[str, int]) -> list[Check]:
    """All checks, in the order in which one would follow the money.

    Args:
        month: our rows.
        at_stripe: all invoices of the account.
        payments: payments that succeeded, by Stripe invoice.
    """
    events = f"{month.event_count:,} usage events"
    invoices = f"{len(month.invoices):,} invoices"
    return [
        Check("no usage is lost: events = snapshots + quarantine", events, tuple(_usage(month))),
        Check("in quarantine is what was seeded wrong", f"{len(month.quarantine)} series", tuple(_quarantine(month))),
        Check("every line is quantity times rate, rounded once", f"{len(month.lines):,} lines", tuple(_lines(month))),
        Check("every total is the sum of its lines", invoices, tuple(_totals(month))),
        Check(
            "the worked examples cost what the price list says", f"{len(EXAMPLES)} invoices", tuple(_examples(month))
        ),
        Check(
            "every customer has an invoice, or a reason for none",
            f"{len(month.coverage):,} rows",
            tuple(_coverage(month)),
        ),
        Check("every invoice is paid, or open for a named reason", invoices, tuple(_states(month))),
        Check("the refusals are those that were seeded, and no other", invoices, tuple(_reasons(month))),
        Check("invoice numbers have no gaps", f"1 to {month.numbers[1]:,}", tuple(_numbers(month))),
        Check(
            "Stripe's totals equal ours to the last minor unit",
            f"{len(at_stripe):,} invoices at Stripe",
            tuple(_stripe_totals(month, at_stripe)),
        ),
        Check(
            "nobody was charged twice",
            f"{sum(payments.values()):,} payments at Stripe",
            tuple(_payments(at_stripe, payments)),
        ),
    ]


def _usage(month: Month) -> Iterator[str]:
    for row in month.unbalanced_usage:
        yield f"customer {row['customer_id']}, {row['meter']}: {row['events']} events, {row['accounted']} accounted for"


def _quarantine(month: Month) -> Iterator[str]:
    ours = {customer.customer_id for customer in population()} | {customer_id for customer_id, _ in QUARANTINED}
    found = {(row["customer_id"], row["meter"]) for row in month.quarantine if row["customer_id"] in ours}
    for customer_id, meter in sorted(QUARANTINED - found):
        yield f"customer {customer_id}, {meter}: expected in quarantine, is not there"
    for customer_id, meter in sorted(found - QUARANTINED):
        yield f"customer {customer_id}, {meter}: in quarantine, expected to be billed"


def _lines(month: Month) -> Iterator[str]:
    for line in month.lines:
        expected = to_minor(line["quantity"] * line["unit_amount"], line["currency"])
        if expected != line["amount_minor"]:
            yield (
                f"customer {line['customer_id']}, line {line['line_no']}:"
                f" {line['quantity']} times {line['unit_amount']} is {expected}, billed {line['amount_minor']}"
            )


def _totals(month: Month) -> Iterator[str]:
    sums: Counter[str] = Counter()
    for line in month.lines:
        sums[line["invoice_id"]] += line["amount_minor"]
    for invoice in month.invoices:
        if sums.pop(invoice["invoice_id"], None) != invoice["total_minor"]:
            yield f"{_name(invoice)}: total {_amount(invoice)} is not the sum of its lines"
    for invoice_id in sums:
        yield f"lines of {invoice_id} have no invoice"


def _examples(month: Month) -> Iterator[str]:
    for example in EXAMPLES:
        found = [row["total_minor"] for row in month.invoices if row["customer_id"] == example.customer_id]
        if found != [example.expected_minor]:
            totals = ", ".join(format_minor(total, example.currency) for total in found) or "no invoice"
            yield f"{example.name}: {totals}, expected {format_minor(example.expected_minor or 0, example.currency)}"


def _coverage(month: Month) -> Iterator[str]:
    for row in month.coverage:
        if row["invoice_id"] is None and row["reason"] is None:
            yield f"customer {row['customer_id']} has neither"


def _states(month: Month) -> Iterator[str]:
    for invoice in month.invoices:
        if invoice["status"] == "paid" or (invoice["state"] == "refused" and invoice["reason_code"]):
            continue
        charge = invoice["state"] or "no charge"
        why = f", {invoice['reason_code']}: {invoice['reason']}" if invoice["reason_code"] else ""
        yield f"{_name(invoice)} is {invoice['status']} ({charge}{why})"


def _reasons(month: Month) -> Iterator[str]:
    seeded = {customer.customer_id: customer.expected_reason for customer in population()}
    for invoice in month.invoices:
        if invoice["customer_id"] not in seeded:
            continue
        # what costs nothing is paid without a card
        expected = seeded[invoice["customer_id"]] if invoice["total_minor"] else None
        found = None if invoice["status"] == "paid" else invoice["reason_code"]
        if found != expected:
            yield f"{_name(invoice)}: {found or 'paid'}, expected {expected or 'paid'}"


def _numbers(month: Month) -> Iterator[str]:
    count, last = month.numbers
    if count != last:
        yield f"{count} finalised invoices, the last number is {last}"


def _stripe_totals(month: Month, at_stripe: Sequence[FoundInvoice]) -> Iterator[str]:
    live: dict[str, list[FoundInvoice]] = {}
    for found in at_stripe:
        if found.invoice_id is not None and found.status != "void":
            live.setdefault(found.invoice_id, []).append(found)
    for invoice_id, several in live.items():
        if len(several) > 1:
            yield f"invoice {invoice_id} is at Stripe {len(several)} times: {', '.join(f.stripe_id for f in several)}"
        if invoice_id not in month.all_invoice_ids:
            yield f"{several[0].stripe_id} is for an invoice {invoice_id} that we do not have"
    for invoice in month.invoices:
        for found in live.get(invoice["invoice_id"], ()):
            if (found.total_minor, found.currency) != (invoice["total_minor"], invoice["currency"]):
                theirs = format_minor(found.total_minor, found.currency)
                yield f"{_name(invoice)}: ours is {_amount(invoice)}, Stripe's {theirs}"
            if found.status != invoice["status"]:
                yield f"{_name(invoice)}: ours is {invoice['status']}, Stripe's {found.status}"
        if invoice["invoice_id"] not in live and invoice["status"] != "draft":
            yield f"{_name(invoice)} is not at Stripe"


def _payments(at_stripe: Sequence[FoundInvoice], payments: Mapping[str, int]) -> Iterator[str]:
    for found in at_stripe:
        # a total of zero, or below the minimum charge, is paid without a payment
        expected = int(found.status == "paid" and found.amount_due_minor > 0)
        if payments.get(found.stripe_id, 0) != expected:
            yield f"{found.stripe_id}: {payments.get(found.stripe_id, 0)} payments succeeded, expected {expected}"


def _name(invoice: Mapping[str, Any]) -> str:
    return f"{invoice['number'] or 'draft'} of customer {invoice['customer_id']}"


def _amount(invoice: Mapping[str, Any]) -> str:
    return format_minor(invoice["total_minor"], invoice["currency"])


_INVOICES = """
SELECT i.invoice_id::text AS invoice_id, i.number, i.customer_id, k.name, i.currency, i.total_minor, i.line_count,
    i.status, c.state, c.reason_code, c.reason, c.stripe_invoice_id
FROM billing.invoices AS i
JOIN billing.customers AS k USING (customer_id)
LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE i.billing_month = :month AND i.status <> 'void'
ORDER BY i.customer_id, i.period_id
"""

_LINES = """
SELECT l.invoice_id::text AS invoice_id, l.customer_id, l.line_no, l.meter, l.description,
    trim_scale(l.usage_quantity) AS used, trim_scale(l.included_quantity) AS included,
    trim_scale(l.quantity) AS quantity, trim_scale(l.unit_amount) AS unit_amount,
    l.amount_minor, l.currency, l.price_version
FROM billing.invoice_line_items AS l
WHERE l.billing_month = :month
ORDER BY l.customer_id, l.invoice_id, l.line_no
"""

_QUARANTINE = """
SELECT q.customer_id, k.name, q.meter, q.dimensions, trim_scale(q.quantity) AS quantity, q.event_count, q.reason
FROM billing.usage_quarantine AS q LEFT JOIN billing.customers AS k USING (customer_id)
WHERE q.billing_month = :month
ORDER BY q.customer_id, q.meter
"""

_COVERAGE = "SELECT customer_id, invoice_id, reason FROM billing.invoice_coverage(:month) ORDER BY customer_id"

# events that lie in a period of the month, or in the UTC month if their customer is not in the file
_USAGE = """
WITH events AS (
    SELECT e.customer_id, e.meter, count(*) AS events
    FROM billing.usage_events AS e
    JOIN billing.billing_periods AS p
        ON p.customer_id = e.customer_id AND e.occurred_at >= p.period_start AND e.occurred_at < p.period_end
    WHERE p.billing_month = :month
        AND e.event_id NOT IN (
            SELECT c.corrects_event_id FROM billing.usage_corrections AS c WHERE c.corrects_event_id IS NOT NULL
        )
    GROUP BY e.customer_id, e.meter
    UNION ALL
    SELECT e.customer_id, e.meter, count(*)
    FROM billing.usage_events AS e
    WHERE NOT EXISTS (SELECT FROM billing.customers AS k WHERE k.customer_id = e.customer_id)
        AND date_trunc('month', e.occurred_at AT TIME ZONE 'UTC')::date = :month
    GROUP BY e.customer_id, e.meter
),

accounted AS (
    SELECT customer_id, meter, sum(event_count) AS events
    FROM (
        SELECT customer_id, meter, event_count FROM billing.usage_snapshots WHERE billing_month = :month
        UNION ALL
        SELECT customer_id, meter, event_count FROM billing.usage_quarantine
        WHERE billing_month = :month AND stage = 'usage_snapshots'
    ) AS both_places
    GROUP BY customer_id, meter
)

SELECT customer_id, meter, coalesce(e.events, 0) AS events, coalesce(a.events, 0) AS accounted
FROM events AS e FULL JOIN accounted AS a USING (customer_id, meter)
ORDER BY customer_id, meter
"""

_ALL_IDS = "SELECT invoice_id::text AS invoice_id FROM billing.invoices"

_NUMBERS = """
SELECT count(*) AS count, coalesce(max(invoice_number), 0) AS last FROM billing.invoices WHERE status <> 'draft'
"""
