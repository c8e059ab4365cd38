"""What crossed the line does not change: a finalised invoice, its number, its lines and its snapshots."""

from uuid import uuid4

import pytest
from sqlalchemy import Connection

from billing_pipeline_tests.postgres.invariants.rows import (
    MONTH,
    charged,
    checked_draft,
    draft,
    execute,
    finalise,
    intent,
    invoice,
    line,
    move,
    pass_gates,
    period_of,
    price,
    refused,
    settle,
    snapshot,
    undone,
    value,
)


@pytest.mark.parametrize("table", ["usage_snapshots", "invoice_line_items"])
@pytest.mark.parametrize("finalised", [False, True])
def test_derived_rows_are_never_updated_or_truncated(db: Connection, table: str, finalised: bool):
    charged(db) if finalised else draft(db)
    settle(db)
    for statement in (f"UPDATE billing.{table} SET run_id = 'x'", f"TRUNCATE billing.{table} CASCADE"):
        with refused(db, "rebuilt by delete and insert"):
            execute(db, statement)


@pytest.mark.parametrize(
    "change",
    [
        "total_minor = total_minor + 1",
        "line_count = 2",
        "currency = 'eur'",
        "customer_id = 'c2'",
        "run_id = 'x'",
        "billing_month = '2026-11-01'",
        "revision = 1",
        "supplement_no = 1",
        "supersedes_invoice_id = invoice_id",
        "invoice_id = gen_random_uuid()",
        "period_id = gen_random_uuid()",
    ],
)
@pytest.mark.parametrize("finalised", [False, True])
def test_of_an_invoice_only_the_status_moves(db: Connection, change: str, finalised: bool):
    charged(db) if finalised else draft(db)
    with refused(db, "only the status moves"):
        execute(db, f"UPDATE billing.invoices SET {change}")


@pytest.mark.parametrize(
    "change", ["invoice_number = 2", "finalised_at = now() + interval '1 day'", "invoice_number = NULL"]
)
def test_a_number_and_its_date_are_given_once(db: Connection, change: str):
    charged(db)
    with refused(db, "only the status moves"):
        execute(db, f"UPDATE billing.invoices SET {change}")


@pytest.mark.parametrize(
    ("statement", "because"),
    [
        ("DELETE FROM billing.invoices", "is finalised and stays"),
        ("TRUNCATE billing.invoices CASCADE", "invoices are kept|charges are kept"),
        ("DELETE FROM billing.invoice_line_items", "lines of an existing invoice"),
        ("DELETE FROM billing.usage_snapshots", "period with a finalised invoice"),
        ("DELETE FROM billing.billing_periods", "foreign key"),
        ("UPDATE billing.invoices SET status = 'draft'", "status does not go|check"),
        (
            "UPDATE billing.invoices SET status = 'draft', invoice_number = NULL, finalised_at = NULL",
            "only the status moves",
        ),
    ],
)
def test_behind_the_line_nothing_is_taken_back(db: Connection, statement: str, because: str):
    charged(db)
    with refused(db, because):
        execute(db, statement)


def test_behind_the_line_nothing_is_added(db: Connection):
    invoice_id = charged(db)
    period_id = period_of(db, invoice_id)
    with refused(db, "lines of an existing invoice"):
        line(db, invoice_id, period_id, price(db, meter="users"), line_no=2)
    with refused(db, "period with a finalised invoice"):
        snapshot(db, period_id, meter="users")


def test_usage_behind_a_voided_invoice_may_be_measured_anew_until_the_next_one_is_final(db: Connection):
    voided = charged(db)
    move(db, voided, "void")
    settle(db)
    with undone(db):
        execute(db, "DELETE FROM billing.usage_snapshots")
    again, period_id = uuid4(), period_of(db, voided)
    line(db, again, period_id, value(db, "SELECT price_id FROM billing.prices"))
    invoice(db, again, period_id, revision=1, supersedes_invoice_id=voided)
    pass_gates(db)
    finalise(db, again, 2)
    with refused(db, "period with a finalised invoice"):
        execute(db, "DELETE FROM billing.usage_snapshots")


def test_one_frozen_row_refuses_a_whole_months_rebuild(db: Connection):
    charged(db)
    draft(db, "c2")
    with refused(db, "is finalised and stays"):
        execute(db, "DELETE FROM billing.invoices WHERE billing_month = :month", month=MONTH)
    with undone(db):
        execute(db, "DELETE FROM billing.invoices WHERE status = 'draft'")


@pytest.mark.parametrize("number", [2, 100])
def test_a_number_is_not_skipped(db: Connection, number: int):
    invoice_id = checked_draft(db)
    with refused(db, "foreign key"):
        finalise(db, invoice_id, number)


def test_a_number_is_not_skipped_after_others_either(db: Connection):
    charged(db, "c1", 1)
    invoice_id = checked_draft(db, "c2")
    with refused(db, "foreign key"):
        finalise(db, invoice_id, 3)
    finalise(db, invoice_id, 2)
    intent(db, invoice_id)
    settle(db)


def test_a_number_is_not_used_twice(db: Connection):
    charged(db, "c1", 1)
    invoice_id = checked_draft(db, "c2")
    with refused(db, "invoice_number_key"):
        finalise(db, invoice_id, 1)


@pytest.mark.parametrize("number", [None, 0, -1])
def test_no_invoice_is_final_without_a_number(db: Connection, number: int | None):
    invoice_id = checked_draft(db)
    with refused(db, "check"):
        finalise(db, invoice_id, number)


def test_numbers_of_many_in_one_statement_have_no_gap_either(db: Connection):
    draft(db, "c1")
    draft(db, "c2")
    checked_draft(db, "c3")
    numbered = (
        "UPDATE billing.invoices AS i SET status = 'open', finalised_at = now(), invoice_number = n.n"
        " FROM (SELECT invoice_id, {} AS n FROM billing.invoices) AS n WHERE n.invoice_id = i.invoice_id"
    )
    with refused(db, "foreign key"):
        execute(db, numbered.format("row_number() OVER (ORDER BY customer_id) * 2 - 1"))
    execute(db, numbered.format("row_number() OVER (ORDER BY customer_id DESC)"))
    assert value(db, "SELECT array_agg(number ORDER BY number) FROM billing.invoices") == [
        "INV-00000001", "INV-00000002", "INV-00000003",
    ]  # fmt: skip


def test_a_number_of_nine_digits_is_printed_whole(db: Connection):
    formula = value(
        db,
        "SELECT generation_expression FROM information_schema.columns"
        " WHERE (table_schema, table_name, column_name) = ('billing', 'invoices', 'number')",
    )
    printed = value(
        db, f"SELECT array_agg({formula}) FROM unnest(ARRAY[99999999, 123456789]::bigint[]) AS invoice_number"
    )
    assert printed == ["INV-99999999", "INV-123456789"]


def test_the_counter_of_numbers_is_one_row_and_stays(db: Connection):
    with refused(db, "invoice_numbering_pkey"):
        execute(db, "INSERT INTO billing.invoice_numbering (last_number) VALUES (7)")
    with refused(db, "check"):
        execute(db, "INSERT INTO billing.invoice_numbering (only_row, last_number) VALUES (false, 7)")
    with refused(db, "check"):
        execute(db, "UPDATE billing.invoice_numbering SET last_number = -1")
    for statement in ("DELETE FROM billing.invoice_numbering", "TRUNCATE billing.invoice_numbering"):
        with refused(db, "invoice numbers go on"):
            execute(db, statement)


STATUSES = ("draft", "open", "paid", "void", "uncollectible")
FORWARD = {
    ("open", "paid"), ("open", "void"), ("open", "uncollectible"), ("uncollectible", "paid"), ("uncollectible", "void"),
}  # fmt: skip


@pytest.mark.parametrize("before", ["open", "paid", "void", "uncollectible"])
def test_a_status_only_moves_forward(db: Connection, before: str):
    invoice_id = charged(db)
    if before != "open":
        move(db, invoice_id, before)
    for after in STATUSES:
        if after != before and (before, after) not in FORWARD:
            with refused(db, "status does not go|check"):
                execute(db, "UPDATE billing.invoices SET status = :after", after=after)
