"""Credit notes as SQL would break them: amounts, numbers, states, and two at once."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.postgres.invariants import rows
from billing_pipeline_tests.postgres.invariants.rows import execute, insert, refused, settle, undone, value
from billing_pipeline_tests.postgres.invariants.sessions import refusal, two_sessions

LEVELS = ["READ COMMITTED", "REPEATABLE READ"]


def paid(db: Connection, customer_id: str = "c1", number: int = 1) -> UUID:
    """A paid invoice over 10.00."""
    invoice_id = rows.charged(db, customer_id, number)
    rows.move(db, invoice_id, "finalized")
    rows.move(db, invoice_id, "paid")
    return invoice_id


def note(db: Connection, invoice_id: UUID, amount: int = 400, number: int = 1, **over: Any) -> UUID:
    """A credit note with one line, refunded unless said otherwise."""
    note_id = uuid4()
    line = {"line_no": 1, "description": "too much", "amount_minor": amount, **over.pop("line", {})}
    insert(db, "credit_note_lines", credit_note_id=note_id, invoice_id=invoice_id, **line)
    given = {
        "customer_id": "c1",
        "billing_month": rows.MONTH,
        "invoice_total_minor": 1000,
        "currency": "usd",
        "amount_minor": amount,
        "line_count": 1,
        "reduction_minor": 0,
        "refund_minor": amount,
        "balance_minor": 0,
        "paid_minor": 1000,
        "credit_note_number": number,
        "reason": "r",
        "author": "ann",
        "request_body": b"{}",
        **over,
    }
    insert(db, "credit_notes", credit_note_id=note_id, invoice_id=invoice_id, **given)
    return note_id


def test_all_credit_notes_together_take_back_at_most_what_was_invoiced(db: Connection):
    invoice_id = paid(db)
    note(db, invoice_id, 600)
    with undone(db):
        note(db, invoice_id, 400, 2)
    with refused(db, "never_credited_more_than_invoiced"):
        note(db, invoice_id, 401, 2)


def test_refunds_take_back_at_most_what_was_paid(db: Connection):
    invoice_id = paid(db)
    note(db, invoice_id, 300, paid_minor=700)
    with undone(db):
        note(db, invoice_id, 400, 2, paid_minor=700)
    with refused(db, "never_refunded_more_than_paid"):
        note(db, invoice_id, 401, 2, paid_minor=700)
    with undone(db):
        note(db, invoice_id, 401, 2, paid_minor=700, refund_minor=0, balance_minor=401)


def test_a_credit_note_that_stripe_refused_no_longer_counts(db: Connection):
    invoice_id = paid(db)
    note_id = note(db, invoice_id, 1000)
    execute(db, "UPDATE billing.credit_notes SET state = 'refused', reason_code = 'disputed'")
    settle(db)
    note(db, invoice_id, 1000, 2)
    settle(db)
    with refused(db, "state does not go from refused to"):
        execute(db, "UPDATE billing.credit_notes SET state = 'intended' WHERE credit_note_id = :id", id=note_id)


@pytest.mark.parametrize("status", ["draft", "void"])
def test_only_what_is_final_and_owed_is_credited(db: Connection, status: str):
    invoice_id = rows.checked_draft(db) if status == "draft" else rows.charged(db)
    if status == "void":
        rows.move(db, invoice_id, "finalized")
        rows.move(db, invoice_id, "void")
    with refused(db, f"is {status} and is not credited"):
        note(db, invoice_id)


def test_what_is_paid_is_refunded_and_what_is_open_is_reduced(db: Connection):
    invoice_id = rows.charged(db)
    with refused(db, "what is not paid is reduced"):
        note(db, invoice_id)
    with undone(db):
        note(db, invoice_id, refund_minor=0, reduction_minor=400)
    rows.move(db, invoice_id, "finalized")
    rows.move(db, invoice_id, "paid")
    with refused(db, "what is paid is refunded"):
        note(db, invoice_id, refund_minor=0, reduction_minor=400)


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"amount_minor": 500, "refund_minor": 500}, "is not the sum of its lines"),
        ({"line_count": 2}, "is not the sum of its lines"),
        ({"line": {"amount_minor": 0}}, "check constraint"),
        ({"line": {"amount_minor": -1}}, "check constraint"),
        ({"refund_minor": 399}, "every_minor_unit_goes_somewhere"),
        ({"refund_minor": 500, "balance_minor": -100}, "check constraint"),
        ({"paid_minor": 1001}, "check constraint"),
        ({"paid_minor": 399}, "never_refunded_more_than_paid"),
        ({"currency": "eur"}, "foreign key"),
        ({"invoice_total_minor": 2000}, "foreign key"),
        ({"customer_id": "c2"}, "foreign key"),
        ({"state": "issued", "stripe_credit_note_id": "cn_1"}, "starts as an intent"),
        ({"attempt": 2}, "starts as an intent"),
        ({"reason": ""}, "check constraint"),
        ({"author": ""}, "check constraint"),
        ({"number": 2}, "foreign key"),
        ({"number": 0}, "check constraint"),
    ],
    ids=str,
)
def test_a_credit_note_that_does_not_add_up_is_not_written(db: Connection, over: dict[str, Any], why: str):
    invoice_id = paid(db)
    with refused(db, why):
        note(db, invoice_id, **over)


def test_numbers_have_no_gap_and_no_twin(db: Connection):
    invoice_id = paid(db)
    note(db, invoice_id, 100, 1)
    with refused(db, "foreign key"):
        note(db, invoice_id, 100, 3)
    with refused(db, "unique"):
        note(db, invoice_id, 100, 1)
    assert value(db, "SELECT number FROM billing.credit_notes") == "CN-00000001"


def test_a_line_is_not_credited_beyond_its_amount(db: Connection):
    invoice_id = paid(db)
    note(db, invoice_id, 600, line={"invoice_line_no": 1})
    settle(db)
    # the invoice has one line, and its own limit would come first
    execute(db, "ALTER TABLE billing.invoice_credits DROP CONSTRAINT never_credited_more_than_invoiced")
    with refused(db, "line 1 over 1000 is not credited with 1001"):
        note(db, invoice_id, 401, 2, line={"invoice_line_no": 1}, refund_minor=0, balance_minor=401)
    with refused(db, "foreign key"):
        note(db, invoice_id, 100, 2, line={"invoice_line_no": 7})


@pytest.mark.parametrize(
    "change",
    [
        "amount_minor = 300, refund_minor = 300",
        "reason = 'another'",
        "author = 'bob'",
        "request_body = 'x'",
        "credit_note_number = 2",
        "created_at = now()",
        "invoice_id = gen_random_uuid()",
    ],
)
def test_a_credit_note_is_frozen_from_the_start(db: Connection, change: str):
    note(db, paid(db))
    with refused(db, "is frozen"):
        execute(db, f"UPDATE billing.credit_notes SET {change}")


@pytest.mark.parametrize("table", ["credit_notes", "credit_note_lines", "invoice_credits", "credit_note_numbering"])
def test_credit_notes_and_what_counts_them_are_kept(db: Connection, table: str):
    note(db, paid(db))
    settle(db)
    with refused(db, "kept|frozen|go on"):
        execute(db, f"DELETE FROM billing.{table}")
    with refused(db, "kept|frozen|go on"):
        execute(db, f"TRUNCATE billing.{table} CASCADE")
    if table == "credit_note_lines":
        with refused(db, "frozen"):
            execute(db, "UPDATE billing.credit_note_lines SET description = 'x'")


def test_a_line_does_not_join_a_credit_note_that_adds_up(db: Connection):
    invoice_id = paid(db)
    note_id = note(db, invoice_id)
    with refused(db, "is not the sum of its lines"):
        insert(
            db, "credit_note_lines", credit_note_id=note_id, invoice_id=invoice_id, line_no=2, description="more",
            amount_minor=1,
        )  # fmt: skip


def test_the_running_totals_are_what_the_credit_notes_say(db: Connection):
    note(db, paid(db))
    settle(db)
    for change in ("credited_minor = 0", "refunded_minor = 0", "total_minor = 5000"):
        with refused(db, "are not those of its credit notes"):
            execute(db, f"UPDATE billing.invoice_credits SET {change}")


def test_the_id_at_stripe_is_set_once_and_an_existing_note_is_not_refused(db: Connection):
    note(db, paid(db))
    with refused(db, "check constraint"):
        execute(db, "UPDATE billing.credit_notes SET state = 'issued'")
    with refused(db, "check constraint"):
        execute(db, "UPDATE billing.credit_notes SET state = 'parked'")
    with refused(db, "counted one by one"):
        execute(db, "UPDATE billing.credit_notes SET attempt = 3")
    with refused(db, "exists at Stripe and is not refused"):
        execute(
            db,
            "UPDATE billing.credit_notes SET state = 'refused', reason_code = 'x', stripe_credit_note_id = 'cn_1'",
        )
    execute(db, "UPDATE billing.credit_notes SET state = 'issued', stripe_credit_note_id = 'cn_1'")
    with refused(db, "set once"):
        execute(db, "UPDATE billing.credit_notes SET stripe_credit_note_id = 'cn_2'")
    with refused(db, "state does not go from issued"):
        execute(db, "UPDATE billing.credit_notes SET state = 'parked', reason_code = 'x'")


@pytest.mark.parametrize("level", LEVELS)
def test_of_two_credit_notes_at_once_the_second_sees_the_first(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        as_login(db)
        invoice_id = paid(db)
        # numbers alone would let only one of them through
        execute(db, "ALTER TABLE billing.credit_notes DROP CONSTRAINT credit_notes_previous_number_fkey")
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: note(db, invoice_id, 600, 1))
        later = second.waits(lambda db: note(db, invoice_id, 600, 2))
        first.commit()
        assert re.search("never_credited_more_than_invoiced|could not serialize", refusal(later))
    assert warehouse.scalar("SELECT sum(amount_minor) FROM billing.credit_notes") == 600


@pytest.mark.parametrize("level", LEVELS)
def test_whoever_waited_gets_through_when_the_other_gives_up(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        invoice_id = paid(db)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: note(db, invoice_id, 600, 1))
        later = second.waits(lambda db: note(db, invoice_id, 600, 1))
        first.rollback()
        later.result(20)
        second.commit()
    assert warehouse.scalar("SELECT credited_minor FROM billing.invoice_credits") == 600


@pytest.mark.parametrize("level", LEVELS)
def test_an_invoice_is_not_voided_while_it_is_credited(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        invoice_id = rows.charged(db)
        rows.move(db, invoice_id, "finalized")
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: rows.move(db, invoice_id, "void"))
        later = second.waits(lambda db: note(db, invoice_id, refund_minor=0, reduction_minor=400))
        first.commit()
        assert re.search("is void and is not credited|could not serialize", refusal(later))
