"""Whether every number of the demo's month adds up: our tables against the seed, against themselves, against Stripe.

Each check counts anew from the rows; none asks the code that wrote them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing_pipeline.core.money import format_minor, to_minor
from billing_pipeline.sandbox.demo.account import FoundInvoice
from billing_pipeline.sandbox.demo.month_rows import Month
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


def check_month(month: Month, at_stripe: Sequence[FoundInvoice], payments: Mapping[str, int]) -> list[Check]:
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
        exact = line["quantity"] * line["unit_amount"]
        if line.get("billed_days"):
            exact = exact * line["billed_days"] / line["full_days"]  # 28 digits: more than a fee of some units needs
        expected = to_minor(exact, line["currency"])
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
        lines_minor = sums.pop(invoice["invoice_id"], None if not invoice["adjusted_minor"] else 0)
        if lines_minor is None or lines_minor + invoice["adjusted_minor"] != invoice["total_minor"]:
            yield f"{_name(invoice)}: total {_amount(invoice)} is not the sum of its lines"
    for invoice_id in sums:
        yield f"lines of {invoice_id} have no invoice"


def _examples(month: Month) -> Iterator[str]:
    unbilled = {row["customer_id"] for row in month.coverage if row["invoice_id"] is None and row["reason"] is not None}
    for example in EXAMPLES:
        if example.customer_id in unbilled:
            continue
        found = [
            row["total_minor"] - row["adjusted_minor"]
            for row in month.invoices
            if row["customer_id"] == example.customer_id and not row["supplement_no"]
        ]
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
        # an invoice of zero, credited in full or paid by prepaid credits is paid without a card
        due_minor = invoice["due_minor"] - invoice["credited_minor"]
        expected = seeded[invoice["customer_id"]] if due_minor else None
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
            if (found.total_minor, found.currency) != (invoice["due_minor"], invoice["currency"]):
                ours = format_minor(invoice["due_minor"], invoice["currency"])
                theirs = format_minor(found.total_minor, found.currency)
                yield f"{_name(invoice)}: ours is {ours}, Stripe's {theirs}"
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
