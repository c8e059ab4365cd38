"""Commitments and discounts of the price book in drafts, final invoices, explanations, shadows and drift."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from billing_pipeline.comparison.explain import explain_all, explain_invoice
from billing_pipeline.comparison.rules.month_diff import differences
from billing_pipeline.comparison.shadow import month_lines, shadow_month
from billing_pipeline.core.signature import Signature
from billing_pipeline.gates.data_quality import gate_parameters, run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.credits import grant_credits
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.price_book import load_price_books
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.month_rows import (
    BOOK,
    LONG_AFTER,
    OCTOBER,
    add_customer,
    add_terms,
    add_usage,
    at,
    bill,
    checksums,
    complete_feed,
    event_of_ann,
    execute,
    load_book,
    pass_gates,
)

TERMS = (
    BOOK
    + """
    commitments:
      - {name: peak, amount: "50", meters: [peak, storage], customer: ann, description: Committed sessions}
      - {name: plan, amount: "30", plan: pro}
    discounts:
      - {name: calls, percent: "10", meters: [calls], customer: ann}
      - {name: loyal, amount: "7.50", customer: ann}
"""
)
ANN = [  # fee 10.00, calls 990 x 0.015 = 14.85, peak 2 x 3 = 6.00, storage below its minimum of 5.00
    ("commitment", "Committed sessions: up to 50.00 USD for peak, storage", 3_900),
    ("discount", "Discount calls: 10 % off 14.85 USD for calls", -149),
    ("discount", "Discount loyal: off 73.36 USD for all of this invoice", -750),
]


@pytest.fixture
def drafted(warehouse: Warehouse) -> Warehouse:
    """October of ann, of bob on plan pro, and of cyd, who has no terms."""
    load_book(warehouse, TERMS)
    for customer_id in ("ann", "bob", "cyd"):
        add_customer(warehouse, customer_id, starts_on=None if customer_id == "bob" else at("2000-01-01").date())
    add_terms(warehouse, "bob", at("2025-10-12").date(), plan="pro")
    add_usage(
        warehouse,
        [
            event_of_ann("calls", "calls", 1000, "2025-10-15"),
            event_of_ann("peak", "peak", 2, "2025-10-16"),
            event_of_ann("storage", "storage", 1, "2025-10-16"),
        ],
    )
    complete_feed(warehouse, at("2025-12-02"))
    bill(warehouse, OCTOBER)
    return warehouse


def lines_of(warehouse: Warehouse, customer_id: str) -> list[tuple[str, str, int]]:
    rows = warehouse.rows(
        "SELECT kind, description, amount_minor FROM billing.invoice_line_items"
        " WHERE customer_id = :customer AND term_id IS NOT NULL ORDER BY line_no",
        customer=customer_id,
    )
    return [(row["kind"], row["description"], row["amount_minor"]) for row in rows]


def drift(warehouse: Warehouse) -> set[tuple[Any, ...]]:
    billing_drift.build(warehouse, OCTOBER, "again")
    rows = warehouse.rows("SELECT customer_id, kind, difference_minor, reason FROM billing.billing_drift")
    return {(row["customer_id"], row["kind"], row["difference_minor"], row["reason"]) for row in rows}


def failed_gates(warehouse: Warehouse) -> list[str]:
    parameters = gate_parameters(load_settings())
    results = run_gates(warehouse, gates_of("invoice_line_items"), OCTOBER, "run", parameters)
    return [result.gate.name for result in results if not result.passed]


def outdated(warehouse: Warehouse) -> set[tuple[str, str]]:
    rows = warehouse.rows(
        "SELECT i.customer_id, o.reason FROM billing.outdated_drafts(:month) AS o"
        " JOIN billing.invoices AS i USING (invoice_id)",
        month=OCTOBER,
    )
    return {(row["customer_id"], row["reason"]) for row in rows}


def test_lines_of_terms_stand_behind_the_others_and_the_total_is_the_sum(drafted: Warehouse) -> None:
    assert lines_of(drafted, "ann") == ANN
    # bob's contract begins on the 12th: 20 of 31 days of the fee, and of the commitment
    committed = "Commitment plan: up to 19.35 USD (20 of 31 days) for all of this invoice"
    assert lines_of(drafted, "bob") == [("commitment", committed, 1_935 - 645)]
    assert lines_of(drafted, "cyd") == []
    totals = "SELECT customer_id, total_minor FROM billing.invoices ORDER BY 1"
    assert [row["total_minor"] for row in drafted.rows(totals)] == [6_586, 1_935, 1_000]
    before = checksums(drafted)
    bill(drafted, OCTOBER)
    assert checksums(drafted) == before


def test_prepaid_credits_come_last_and_stripe_is_asked_for_the_rest(drafted: Warehouse) -> None:
    grant_credits(drafted, "ann", 5_000, Signature("ann", "order"))
    pass_gates(drafted, OCTOBER)
    finalise_month(drafted, OCTOBER, "run")
    [explained] = [found for found in explain_all(drafted) if found.invoice.customer_id == "ann"]
    assert [line.amount_minor for line in explained.lines] == [1_000, 1_485, 600, 5, 495, 3_900, -149, -750]
    assert [draw.amount_minor for draw in explained.draws] == [-5_000]
    assert (explained.invoice.total_minor, explained.invoice.due_minor) == (6_586, 1_586)


def test_a_commitment_is_due_where_nothing_was_used(warehouse: Warehouse) -> None:
    load_book(warehouse, TERMS.replace("  fee:      {aggregation: constant}\n", "  fee:      {aggregation: sum}\n"))
    add_customer(warehouse, "ann")
    bill(warehouse, OCTOBER)
    assert [amount for _, _, amount in lines_of(warehouse, "ann")] == [5_000, -750]
    pass_gates(warehouse, OCTOBER)
    assert finalise_month(warehouse, OCTOBER, "run").count == 1
    assert [explained.problems for explained in explain_all(warehouse)] == [[]]


def test_gates_explanations_and_shadows_hold_for_lines_of_terms(drafted: Warehouse) -> None:
    assert failed_gates(drafted) == []
    pass_gates(drafted, OCTOBER)
    finalise_month(drafted, OCTOBER, "run")
    assert [explained.problems for explained in explain_all(drafted)] == [[], [], []]
    shadow = shadow_month(drafted, OCTOBER, load_price_books(TERMS, "book.yaml"), LONG_AFTER)
    assert differences(month_lines(drafted, OCTOBER), shadow.lines) == []
    assert drift(drafted) == set()


def test_a_line_of_a_term_that_was_tampered_with_is_named(drafted: Warehouse) -> None:
    pass_gates(drafted, OCTOBER)
    finalise_month(drafted, OCTOBER, "run")
    [number] = [x.invoice.number for x in explain_all(drafted) if x.invoice.customer_id == "ann"]
    execute(drafted, "ALTER TABLE billing.terms DISABLE TRIGGER USER")
    execute(drafted, "UPDATE billing.terms SET percent = 20 WHERE name = 'calls'")
    problems = explain_invoice(drafted, number).problems
    assert any("expected Discount calls: 20 % off 14.85 USD" in problem for problem in problems)
    assert "seal broken: prices" in problems


def test_the_gate_finds_a_term_that_is_no_longer_in_the_book(drafted: Warehouse) -> None:
    load_book(drafted, TERMS.replace('amount: "7.50"', 'amount: "8"'))
    assert failed_gates(drafted) == ["terms_are_kept"]
    assert outdated(drafted) == {("ann", "term_change")}
    bill(drafted, OCTOBER)
    assert outdated(drafted) == set()


def test_a_new_term_outdates_drafts_that_it_holds_for_until_they_were_made_with_it(drafted: Warehouse) -> None:
    load_book(drafted, TERMS + '      - {name: more, percent: "1", customer: cyd}\n')
    assert outdated(drafted) == {("cyd", "term_change")}
    bill(drafted, OCTOBER)
    assert outdated(drafted) == set()
    assert [amount for _, _, amount in lines_of(drafted, "cyd")] == [-10]


def test_drift_says_whether_a_term_changed_or_what_it_was_computed_from(drafted: Warehouse) -> None:
    pass_gates(drafted, OCTOBER)
    finalise_month(drafted, OCTOBER, "run")
    load_book(drafted, TERMS.replace('amount: "50"', 'amount: "60"'))
    assert drift(drafted) == {("ann", "commitment", 1_000, "term_change")}
    load_book(drafted, TERMS)
    assert drift(drafted) == set()
    add_usage(drafted, [event_of_ann("late", "calls", 1000, "2025-10-20", received_at=datetime.now(UTC))])
    bill(drafted, OCTOBER)
    assert drift(drafted) == {("ann", "usage", 1_500, "late_event"), ("ann", "discount", -150, "late_event")}


ANOTHER = """
INSERT INTO billing.terms
SELECT (jsonb_populate_record(t, jsonb_build_object('term_id', gen_random_uuid(), '{name}', '{value}'))).*
FROM billing.terms AS t WHERE name = 'calls'
"""


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing.terms SET amount = 1 WHERE name = 'peak'",
        "UPDATE billing.terms SET customer_id = 'cyd' WHERE name = 'peak'",
        "DELETE FROM billing.terms",
        "TRUNCATE billing.terms CASCADE",
        *(ANOTHER.format(name=n, value=v) for n, v in (("percent", 101), ("amount", 1), ("plan", "pro"))),
    ],
)
def test_postgres_keeps_terms_as_they_are(drafted: Warehouse, change: str) -> None:
    with pytest.raises(DBAPIError):
        execute(drafted, change)
