"""Holds and approvals: what is held is skipped and named, and a month that needs an approval gets no further without."""

import re
from datetime import date

import pytest
from sqlalchemy import Connection, text

from billing_pipeline.charging.month_verification import verify_month
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.approvals import ApprovalRefused, approve_month, month_drafts
from billing_pipeline.corrections.holds import (
    HoldRefused,
    active_holds,
    customer_subject,
    invoice_subject,
    month_subject,
    place_hold,
    release_hold,
)
from billing_pipeline.invoicing.finalisation import ApprovalMissing, Finalised, finalise_month
from billing_pipeline.invoicing.finalisation_policy import set_finalisation_policy
from billing_pipeline.invoicing.starter import Starter
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import (
    MONTH,
    Bill,
    World,
    insert_drafts,
    invoice_id_of,
    pass_gates,
)
from billing_pipeline_tests.postgres.invariants import rows
from billing_pipeline_tests.postgres.invariants.rows import execute, insert, refused
from billing_pipeline_tests.postgres.invariants.sessions import refusal, two_sessions

WHO = Signature("ann", "disputed")


def drafts(warehouse: Warehouse, *names: str) -> None:
    insert_drafts(warehouse, [Bill(name) for name in names], {})
    pass_gates(warehouse)


def status(warehouse: Warehouse) -> dict[str, str]:
    return {row["customer_id"]: row["status"] for row in warehouse.rows("SELECT * FROM billing.invoices")}


def test_what_is_held_stays_a_draft_and_is_named_with_what_holds_it(warehouse: Warehouse) -> None:
    drafts(warehouse, "a", "b", "c")
    place_hold(warehouse, customer_subject(warehouse, "a"), WHO)
    place_hold(warehouse, invoice_subject(warehouse, invoice_id_of("b")), WHO)
    done = finalise_month(warehouse, MONTH, "run")
    assert done == Finalised(1, {"on_hold": ("a",), "invoice_on_hold": ("b",)})
    assert status(warehouse) == {"a": "draft", "b": "draft", "c": "open"}
    shown = active_holds(warehouse, MONTH)
    assert [(hold.kind, hold.drafts, hold.author, hold.reason) for hold in shown] == [
        ("customer", 1, "ann", "disputed"),
        ("invoice", 1, "ann", "disputed"),
    ]
    release_hold(warehouse, customer_subject(warehouse, "a"), Signature("bob", "settled"))
    assert finalise_month(warehouse, MONTH, "run") == Finalised(1, {"invoice_on_hold": ("b",)})


def test_a_held_month_is_held_whole(warehouse: Warehouse) -> None:
    drafts(warehouse, "a", "b")
    place_hold(warehouse, month_subject(MONTH), WHO)
    assert finalise_month(warehouse, MONTH, "run") == Finalised(0, {"month_on_hold": ("a", "b")})
    release_hold(warehouse, month_subject(MONTH), WHO)
    assert finalise_month(warehouse, MONTH, "run") == Finalised(2)


def test_a_final_invoice_on_hold_is_not_charged_and_that_is_its_reason(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    place_hold(world.warehouse, customer_subject(world.warehouse, "a"), WHO)
    report = world.charge()
    assert (report.pending, report.count("paid")) == ({"on_hold": 1}, 1)
    assert [invoice["metadata"]["customer_id"] for invoice in world.stripe.invoices()] == ["b"]
    assert verify_month(world.warehouse, world.gateway(), MONTH) == []
    release_hold(world.warehouse, customer_subject(world.warehouse, "a"), WHO)
    assert world.charge().count("paid") == 2


def test_a_hold_is_placed_once_released_once_and_says_by_whom(warehouse: Warehouse) -> None:
    drafts(warehouse, "a")
    subject = customer_subject(warehouse, "a")
    place_hold(warehouse, subject, WHO)
    with pytest.raises(HoldRefused, match="customer a is on hold already by ann: disputed"):
        place_hold(warehouse, subject, Signature("bob", "r"))
    release_hold(warehouse, subject, WHO)
    with pytest.raises(HoldRefused, match="customer a is not on hold"):
        release_hold(warehouse, subject, WHO)
    place_hold(warehouse, subject, WHO)
    with pytest.raises(HoldRefused, match="expected the id of a customer"):
        customer_subject(warehouse, "nobody")
    with pytest.raises(UserError, match="reason"):
        place_hold(warehouse, month_subject(MONTH), Signature("ann", " "))
    log = warehouse.rows("SELECT action FROM billing.automation_log ORDER BY log_id")
    assert [row["action"] for row in log] == ["hold.place", "hold.release", "hold.place"]


@pytest.mark.parametrize("kind", ["customer", "invoice", "month"])
def test_nobody_finalises_past_a_hold(db: Connection, kind: str) -> None:
    invoice_id = rows.checked_draft(db)
    subject = {"customer": "c1", "invoice": str(invoice_id), "month": "2026-10-01"}[kind]
    insert(db, "holds", subject_type=kind, subject=subject, reason="r", author="a")
    with refused(db, "customer c1 is on hold"):
        rows.finalise(db, invoice_id)


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"subject_type": "meter"}, "check constraint"),
        ({"subject_type": "invoice", "subject": "INV-1"}, "check constraint"),
        ({"subject_type": "month", "subject": "2026-10"}, "check constraint"),
        ({"reason": " "}, "check constraint"),
        ({"author": ""}, "check constraint"),
        ({"released_by": "a"}, "check constraint"),
    ],
    ids=str,
)
def test_a_hold_names_what_it_holds_and_why(db: Connection, over: dict[str, str], why: str) -> None:
    given = {"subject_type": "customer", "subject": "c1", "reason": "r", "author": "a", **over}
    with refused(db, why):
        insert(db, "holds", **given)


def test_a_hold_changes_only_by_its_release(db: Connection) -> None:
    insert(db, "holds", subject_type="customer", subject="c1", reason="r", author="a")
    with refused(db, "holds_one_active"):
        insert(db, "holds", subject_type="customer", subject="c1", reason="r", author="a")
    for change in ("reason = 'x'", "subject = 'c2'", "author = 'b'"):
        with refused(db, "is only released, once"):
            execute(db, f"UPDATE billing.holds SET {change}")
    release = "UPDATE billing.holds SET released_at = now(), released_by = 'b', release_reason = 'r'"
    execute(db, release)
    with refused(db, "is only released, once"):
        execute(db, release)
    for statement in ("DELETE FROM billing.holds", "TRUNCATE billing.holds"):
        with refused(db, "released, not deleted"):
            execute(db, statement)


ANN, SCHEDULE = Starter("person", "ann"), Starter("schedule", "charge_month_schedule")


def needing_approval(warehouse: Warehouse) -> None:
    drafts(warehouse, "a", "b")
    set_finalisation_policy(warehouse, require_approval=True, author="ops")


def test_a_month_that_needs_an_approval_is_not_finalised_without(warehouse: Warehouse) -> None:
    needing_approval(warehouse)
    with pytest.raises(ApprovalMissing, match="nobody has approved it"):
        finalise_month(warehouse, MONTH, "run", starter=ANN)
    seen = approve_month(warehouse, MONTH, author="bob")
    assert (seen.drafts, seen.totals_minor) == (2, {"usd": 8000})
    assert finalise_month(warehouse, MONTH, "run", starter=ANN).count == 2
    assert warehouse.scalar("SELECT DISTINCT finalised_by FROM billing.invoices") == "ann"


def test_who_starts_the_run_does_not_approve_it(warehouse: Warehouse) -> None:
    needing_approval(warehouse)
    approve_month(warehouse, MONTH, author="ann")
    with pytest.raises(ApprovalMissing, match="ann started the run and approved it"):
        finalise_month(warehouse, MONTH, "run", starter=ANN)
    assert finalise_month(warehouse, MONTH, "run", starter=SCHEDULE).count == 2, "a schedule started it"


def test_an_approval_is_of_exactly_the_rows_that_were_there(warehouse: Warehouse) -> None:
    needing_approval(warehouse)
    before = approve_month(warehouse, MONTH, author="bob").rows
    with warehouse.transaction() as connection:
        connection.execute(text("DELETE FROM billing.invoices WHERE customer_id = 'b'"))
        connection.execute(text("DELETE FROM billing.invoice_line_items WHERE customer_id = 'b'"))
    pass_gates(warehouse)
    with pytest.raises(ApprovalMissing, match="have changed since they were approved"):
        finalise_month(warehouse, MONTH, "run", starter=ANN)
    with pytest.raises(ApprovalRefused, match=f"not {re.escape(before)}: look at it again"):
        approve_month(warehouse, MONTH, author="bob", rows=before)
    approve_month(warehouse, MONTH, author="bob", rows=month_drafts(warehouse, MONTH).rows)
    assert finalise_month(warehouse, MONTH, "run", starter=ANN).count == 1


def test_what_is_already_final_is_charged_without_another_approval(warehouse: Warehouse) -> None:
    drafts(warehouse, "a")
    assert finalise_month(warehouse, MONTH, "run").count == 1
    set_finalisation_policy(warehouse, require_approval=True, author="ops")
    assert finalise_month(warehouse, MONTH, "run").count == 0


def test_there_is_nothing_to_approve_without_drafts_or_with_failed_gates(warehouse: Warehouse) -> None:
    with pytest.raises(ApprovalRefused, match="there is no draft to approve"):
        approve_month(warehouse, MONTH, author="bob")
    insert_drafts(warehouse, [Bill("a")], {})
    with pytest.raises(ApprovalRefused, match="gates are not passed"):
        approve_month(warehouse, MONTH, author="bob")


def test_the_policy_is_changed_with_a_trace(warehouse: Warehouse) -> None:
    for required in (True, True, False):
        set_finalisation_policy(warehouse, require_approval=required, author="ops")
    log = warehouse.rows("SELECT actor, state_after FROM billing.automation_log WHERE action = 'policy.change'")
    assert [row["state_after"]["require_approval"] for row in log] == [True, False]


def test_nobody_finalises_past_a_missing_approval(db: Connection) -> None:
    invoice_id = rows.checked_draft(db)
    execute(db, "UPDATE billing.finalisation_policy SET require_approval = true, changed_by = 'ops'")
    with refused(db, "nobody has approved it"):
        rows.finalise(db, invoice_id)
    with refused(db, "look at it again"):
        insert(db, "month_approvals", billing_month=MONTH, month_rows="9.9.9", author="a", drafts=1, totals="{}")
    seen = rows.value(db, "SELECT billing.month_rows('2026-10-01')")
    insert(db, "month_approvals", billing_month=MONTH, month_rows=seen, author="ann", drafts=1, totals="{}")
    for statement in ("DELETE FROM billing.month_approvals", "UPDATE billing.month_approvals SET author = 'x'"):
        with refused(db, "approvals are append-only"):
            execute(db, statement)
    with refused(db, "ann started the run and approved it"):
        execute(
            db,
            "UPDATE billing.invoices SET status = 'open', invoice_number = 1, finalised_at = now(), finalised_by = 'ann',"
            " finalised_through = 'person'",
        )
    with refused(db, "needs the approvals of two people and has one"):
        rows.finalise(db, invoice_id)
    insert(db, "month_approvals", billing_month=MONTH, month_rows=seen, author="bob", drafts=1, totals="{}")
    rows.finalise(db, invoice_id)
    assert rows.value(db, "SELECT finalised_by || finalised_through FROM billing.invoices") == "unknownunknown"
    with refused(db, "only the status moves"):
        execute(db, "UPDATE billing.invoices SET finalised_by = 'bob'")


def test_rows_that_change_while_they_are_approved_are_not_the_approved_ones(warehouse: Warehouse) -> None:
    with warehouse.transaction() as db:
        invoice_id = rows.checked_draft(db)
        period_id = rows.period_of(db, invoice_id)
        seen = rows.value(db, "SELECT billing.month_rows('2026-10-01')")

    def approve(db: Connection) -> None:
        insert(
            db, "month_approvals", billing_month=date(2026, 10, 1), month_rows=seen, author="a", drafts=1, totals="{}"
        )

    with two_sessions(warehouse) as (first, second):
        first.do(lambda db: rows.snapshot(db, period_id, meter="users"))
        later = second.waits(approve)
        first.commit()
        assert "look at it again" in refusal(later)
