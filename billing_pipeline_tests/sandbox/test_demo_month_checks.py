"""Each of the demo's checks passes on a month that adds up and fails on one that does not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing_pipeline.sandbox.demo.account import FoundInvoice
from billing_pipeline.sandbox.demo.month_checks import check_month
from billing_pipeline.sandbox.demo.month_rows import Month
from billing_pipeline.sandbox.demo.population import EXAMPLES
from billing_pipeline.sandbox.demo.usage import QUARANTINED

Stripe = list[FoundInvoice]
Payments = dict[str, int]


def invoice(number: int, customer_id: str, total_minor: int, **changed: Any) -> dict[str, Any]:
    return {
        "invoice_id": f"id-{customer_id}",
        "number": f"INV-{number:08}",
        "customer_id": customer_id,
        "name": "Somebody",
        "currency": "usd",
        "total_minor": total_minor,
        "due_minor": total_minor,
        "line_count": 1,
        "status": "paid",
        "state": "paid",
        "reason_code": None,
        "reason": None,
        "stripe_invoice_id": f"in_{customer_id}",
        "supplement_no": 0,
        "credited_minor": 0,
        "adjusted_minor": 0,
        **changed,
    }


def line(customer_id: str, amount_minor: int) -> dict[str, Any]:
    return {
        "invoice_id": f"id-{customer_id}",
        "customer_id": customer_id,
        "line_no": 1,
        "quantity": Decimal(1),
        "unit_amount": Decimal(amount_minor) / 100,
        "amount_minor": amount_minor,
        "currency": "usd",
    }


DECLINED = "00101"
SOLD = [(example.customer_id, example.expected_minor or 0) for example in EXAMPLES] + [(DECLINED, 1_234)]


def good() -> tuple[Month, Stripe, Payments]:
    """A month of the three examples and the declining customer."""
    invoices = [invoice(number, *sold) for number, sold in enumerate(SOLD, start=1)]
    invoices[-1] |= {"status": "open", "state": "refused", "reason_code": "declined", "reason": "no"}
    month = Month(
        month=date(2026, 10, 1),
        invoices=invoices,
        lines=[line(*sold) for sold in SOLD],
        quarantine=[{"customer_id": customer_id, "meter": meter} for customer_id, meter in sorted(QUARANTINED)],
        coverage=[{"customer_id": customer_id, "invoice_id": "x", "reason": None} for customer_id, _ in SOLD],
        unbalanced_usage=[],
        event_count=4,
        all_invoice_ids=frozenset(row["invoice_id"] for row in invoices),
        numbers=(4, 4),
    )
    at_stripe = [
        FoundInvoice(f"in_{customer_id}", f"id-{customer_id}", "paid", "usd", total, total)
        for customer_id, total in SOLD
    ]
    at_stripe[-1] = replace(at_stripe[-1], status="open")
    return month, at_stripe, {f"in_{customer_id}": 1 for customer_id, _ in SOLD[:-1]}


def failed(month: Month, at_stripe: Stripe, payments: Payments) -> set[str]:
    return {check.statement for check in check_month(month, at_stripe, payments) if not check.passed}


def changed_invoice(month: Month, position: int, **changes: Any) -> Month:
    invoices = [dict(row) for row in month.invoices]
    invoices[position] |= changes
    return replace(month, invoices=invoices)


def test_a_month_that_adds_up_passes_every_check():
    assert failed(*good()) == set()


Change = Callable[[Month, Stripe, Payments], tuple[Month, Stripe, Payments]]

BREAKS: dict[str, tuple[str, Change]] = {
    "usage that is in no snapshot": (
        "no usage is lost",
        lambda m, s, p: (
            replace(m, unbalanced_usage=[{"customer_id": "1", "meter": "users", "events": 2, "accounted": 1}]), s, p,
        ),
    ),
    "a mistake that was billed": ("in quarantine", lambda m, s, p: (replace(m, quarantine=m.quarantine[1:]), s, p)),
    "good usage that was set aside": (
        "in quarantine",
        lambda m, s, p: (replace(m, quarantine=[*m.quarantine, {"customer_id": "00001", "meter": "users"}]), s, p),
    ),
    "an amount that is not quantity times rate": (
        "every line is quantity times rate",
        lambda m, s, p: (replace(m, lines=[{**m.lines[0], "quantity": Decimal(2)}, *m.lines[1:]]), s, p),
    ),
    "a line that is missing": ("every total", lambda m, s, p: (replace(m, lines=m.lines[1:]), s, p)),
    "a line without an invoice": (
        "every total", lambda m, s, p: (replace(m, lines=[*m.lines, line("00777", 5)]), s, p),
    ),
    "an example that costs a cent more": (
        "the worked examples", lambda m, s, p: (changed_invoice(m, 1, total_minor=25_451), s, p),
    ),
    "a customer who was forgotten": (
        "every customer",
        lambda m, s, p: (
            replace(m, coverage=[*m.coverage, {"customer_id": "9", "invoice_id": None, "reason": None}]), s, p,
        ),
    ),
    "a draft that was left": (
        "every invoice is paid", lambda m, s, p: (changed_invoice(m, 0, status="draft", state=None, number=None), s, p),
    ),
    "a parked charge": (
        "every invoice is paid",
        lambda m, s, p: (changed_invoice(m, 3, state="parked", reason_code="key_reused"), s, p),
    ),
    "a refusal that was not seeded": (
        "the refusals",
        lambda m, s, p: (changed_invoice(m, 0, status="open", state="refused", reason_code="declined"), s, p),
    ),
    "another reason than the seeded one": (
        "the refusals", lambda m, s, p: (changed_invoice(m, 3, reason_code="expired_card"), s, p),
    ),
    "a number that was skipped": ("invoice numbers", lambda m, s, p: (replace(m, numbers=(4, 5)), s, p)),
    "another total at Stripe": (
        "Stripe's totals", lambda m, s, p: (m, [replace(s[0], total_minor=4_001), *s[1:]], p),
    ),
    "another currency at Stripe": ("Stripe's totals", lambda m, s, p: (m, [replace(s[0], currency="eur"), *s[1:]], p)),
    "another status at Stripe": ("Stripe's totals", lambda m, s, p: (m, [replace(s[0], status="open"), *s[1:]], p)),
    "no invoice at Stripe": ("Stripe's totals", lambda m, s, p: (m, s[1:], p)),
    "two invoices at Stripe": (
        "Stripe's totals", lambda m, s, p: (m, [*s, replace(s[0], stripe_id="in_twin")], {**p, "in_twin": 1}),
    ),
    "an invoice at Stripe that is not ours": (
        "Stripe's totals",
        lambda m, s, p: (m, [*s, replace(s[-1], stripe_id="in_stray", invoice_id="id-stray")], p),
    ),
    "a second payment": ("nobody was charged twice", lambda m, s, p: (m, s, {**p, "in_00001": 2})),
    "paid without a payment": ("nobody was charged twice", lambda m, s, p: (m, s, {**p, "in_00001": 0})),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_month_fails_because_of(name):
    statement, change = BREAKS[name]
    assert any(found.startswith(statement) for found in failed(*change(*good())))


def test_below_stripes_minimum_nothing_is_paid_and_that_is_right():
    month, at_stripe, payments = good()
    at_stripe[0] = replace(at_stripe[0], amount_due_minor=0)
    del payments["in_00001"]
    assert failed(month, at_stripe, payments) == set()


def test_a_voided_invoice_at_stripe_is_no_twin():
    month, at_stripe, payments = good()
    at_stripe.append(replace(at_stripe[0], stripe_id="in_void", status="void"))
    assert failed(month, at_stripe, payments) == set()


def test_an_adjustment_is_a_part_of_the_total_and_not_of_what_the_price_list_says():
    month, at_stripe, payments = good()
    less = month.invoices[0]["total_minor"] - 500
    adjusted = changed_invoice(month, 0, adjusted_minor=-500, total_minor=less, due_minor=less)
    at_stripe[0] = replace(at_stripe[0], total_minor=at_stripe[0].total_minor - 500)
    assert failed(adjusted, at_stripe, payments) == set()


def test_what_prepaid_credits_paid_is_not_asked_for_at_stripe():
    month, at_stripe, payments = good()
    less = month.invoices[0]["total_minor"] - 500
    at_stripe[0] = replace(at_stripe[0], total_minor=less)
    assert failed(changed_invoice(month, 0, due_minor=less), at_stripe, payments) == set()
    assert failed(month, at_stripe, payments) == {"Stripe's totals equal ours to the last minor unit"}


def test_an_example_that_somebody_left_unbilled_is_no_example_of_a_price():
    month, at_stripe, payments = good()
    voided = month.invoices[0]
    reason = {"customer_id": voided["customer_id"], "invoice_id": None, "reason": "voided and not billed again"}
    month = replace(month, invoices=month.invoices[1:], lines=month.lines[1:], coverage=[reason, *month.coverage[1:]])
    at_stripe[0] = replace(at_stripe[0], status="void")
    assert failed(month, at_stripe, {**payments, "in_00001": 0}) == set()


def test_what_was_credited_in_full_is_paid_without_a_card():
    month, at_stripe, payments = good()
    credited = changed_invoice(month, 3, status="paid", state="paid", reason_code=None, credited_minor=1_234)
    at_stripe[-1] = replace(at_stripe[-1], status="paid", amount_due_minor=0)
    assert failed(credited, at_stripe, payments) == set()
