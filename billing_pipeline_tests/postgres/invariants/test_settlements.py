"""Settlements as SQL would break them: approvals, documents, and a difference settled twice."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.postgres.invariants import rows
from billing_pipeline_tests.postgres.invariants.rows import execute, insert, refused, settle, undone, value
from billing_pipeline_tests.postgres.invariants.sessions import refusal, two_sessions


def proposed(db: Connection, amount: int = 200, **over: Any) -> tuple[int, UUID]:
    """A proposal for the period of a finalised invoice."""
    period_id = over.pop("period_id", None) or rows.period_of(db, rows.charged(db))
    given = {
        "billing_month": rows.MONTH, "customer_id": "c1", "period_id": period_id, "currency": "usd",
        "amount_minor": amount, "method": "next_invoice", "pay_back": "refund", "evidence": "{}", "proposed_by": "a",
        **over,
    }  # fmt: skip
    insert(db, "settlements", **given)
    return int(value(db, "SELECT max(settlement_id) FROM billing.settlements")), period_id


def approval(db: Connection, settlement_id: int, author: str = "bob") -> None:
    insert(db, "settlement_approvals", settlement_id=settlement_id, author=author)


def document(db: Connection, settlement_id: int, amount: int = 200, **over: Any) -> None:
    given = {
        "customer_id": "c1", "currency": "usd", "amount_minor": amount, "description": "d", "reason": "r", "author": "a",
        "settlement_id": settlement_id, **over,
    }  # fmt: skip
    insert(db, "adjustments", adjustment_id=uuid4(), **given)


def apply(db: Connection, settlement_id: int) -> None:
    execute(
        db,
        "UPDATE billing.settlements SET status = 'applied', ended_by = 'c', ended_at = now() WHERE settlement_id = :id",
        id=settlement_id,
    )


def test_one_approval_approves_a_small_amount_and_a_large_one_needs_two_people(db: Connection):
    small, period_id = proposed(db)
    approval(db, small)
    assert value(db, "SELECT status FROM billing.settlements") == "approved"
    execute(
        db,
        "UPDATE billing.settlements SET status = 'withdrawn', ended_by = 'a', ended_at = now()",
    )
    large, _ = proposed(db, -100_001, period_id=period_id, approvals_needed=1)
    approval(db, large)
    with refused(db, "needs the approval of 2 people"):
        execute(db, "UPDATE billing.settlements SET status = 'approved' WHERE settlement_id = :id", id=large)
    for again in ("bob", " bob", "BOB"):
        with refused(db, "settlement_approvals_pkey|check constraint"):
            approval(db, large, again)
    approval(db, large, "dora")
    assert value(db, "SELECT status FROM billing.settlements WHERE settlement_id = :id", id=large) == "approved"


def test_a_settlement_is_carried_out_by_documents_over_exactly_its_amount(db: Connection):
    settlement_id, _ = proposed(db)
    with refused(db, "is proposed and gets no document"):
        document(db, settlement_id)
    with refused(db, "status does not go from proposed to applied"):
        apply(db, settlement_id)
    approval(db, settlement_id)
    with refused(db, "has documents over 0"):
        apply(db, settlement_id)
    with refused(db, "has documents over 201"):
        document(db, settlement_id, 201)
        apply(db, settlement_id)
    with refused(db, "has documents and is not applied"):
        document(db, settlement_id)
    with refused(db, "of another customer or currency"):
        rows.customer(db, "c2")
        document(db, settlement_id, customer_id="c2")
    document(db, settlement_id)
    apply(db, settlement_id)
    settle(db)
    with refused(db, "is applied and gets no document"):
        document(db, settlement_id, 1)


def test_a_period_has_one_open_proposal(db: Connection):
    settlement_id, period_id = proposed(db)
    with refused(db, "settlements_one_open"):
        proposed(db, 5, period_id=period_id)
    with undone(db):
        execute(db, "UPDATE billing.settlements SET status = 'withdrawn', ended_by = 'a', ended_at = now()")
        proposed(db, 5, period_id=period_id)
    with refused(db, "only its status moves"):
        execute(db, "UPDATE billing.settlements SET amount_minor = 1 WHERE settlement_id = :id", id=settlement_id)
    with refused(db, "starts as a proposal"):
        proposed(db, 5, period_id=period_id, status="approved")
    for statement in ("DELETE FROM billing.settlements", "TRUNCATE billing.settlements CASCADE"):
        with refused(db, "withdrawn, not deleted|append-only|is frozen|kept"):
            execute(db, statement)


def test_approvals_are_of_proposals_and_stay(db: Connection):
    settlement_id, _ = proposed(db)
    approval(db, settlement_id)
    with refused(db, "is approved and not approved again"):
        approval(db, settlement_id, "eve")
    with refused(db, "is unknown and not approved"):
        approval(db, 999)
    for statement in (
        "DELETE FROM billing.settlement_approvals",
        "UPDATE billing.settlement_approvals SET author = 'x'",
    ):
        with refused(db, "approvals are append-only"):
            execute(db, statement)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
def test_two_at_once_carry_a_settlement_out_once(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        settlement_id, _ = proposed(db)
        approval(db, settlement_id)

    def carry_out(db: Connection) -> None:
        document(db, settlement_id)
        apply(db, settlement_id)

    with two_sessions(warehouse, level) as (first, second):
        first.do(carry_out)
        later = second.waits(carry_out)
        first.commit()
        assert re.search("is applied and gets no document|could not serialize", refusal(later))
    assert warehouse.scalar("SELECT count(*) FROM billing.adjustments") == 1


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
def test_two_people_at_once_both_count(warehouse: Warehouse, level: str):
    with warehouse.transaction() as db:
        settlement_id, _ = proposed(db, 100_001)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: approval(db, settlement_id))
        later = second.waits(lambda db: approval(db, settlement_id, "dora"))
        first.commit()
        later.result(20)
        second.commit()
    status = warehouse.scalar("SELECT status FROM billing.settlements")
    # with an older snapshot the second cannot see the first: it waits for a third person rather than approve too early
    assert status == ("approved" if level == "READ COMMITTED" else "proposed")
