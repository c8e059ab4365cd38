"""An adjustment that no invoice has may be revoked, once, and then none takes it."""

import re

import pytest
from sqlalchemy import text

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import AdjustmentRefused, adjust, revoke
from billing_pipeline.corrections.settlement_proposals import approve, propose
from billing_pipeline.corrections.settling import run_settlements
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.month_rows import NOVEMBER, OCTOBER, at
from billing_pipeline_tests.postgres.invariants import rows
from billing_pipeline_tests.postgres.invariants.sessions import refusal, two_sessions

WHY = Signature("ops", "agreed otherwise")


def give(platform: Platform, amount_minor: int) -> str:
    return adjust(platform.warehouse, "ann", amount_minor, Signature("ops", "goodwill")).adjustment_id


def test_a_revoked_adjustment_waits_no_more_and_lands_nowhere(platform: Platform) -> None:
    one = give(platform, 250)
    revoke(platform.warehouse, one, WHY)
    assert platform.warehouse.rows("SELECT * FROM billing.waiting_adjustments") == []
    platform.bill()
    [invoice] = platform.invoices("ann")
    assert invoice["total_minor"] == 1300
    [logged] = platform.warehouse.rows("SELECT * FROM billing.automation_log WHERE action = 'adjustment.revoke'")
    assert (logged["actor"], logged["object_id"], logged["reason"]) == ("ops", one, "agreed otherwise")


def test_what_a_draft_or_an_invoice_has_is_not_revoked(platform: Platform) -> None:
    one = give(platform, 250)
    platform.draft()
    with pytest.raises(AdjustmentRefused, match=r"is on the draft of 2025-10|is on .*: another one takes it back"):
        revoke(platform.warehouse, one, WHY)
    platform.charge()
    with pytest.raises(AdjustmentRefused, match="is on INV-00000001: another one takes it back"):
        revoke(platform.warehouse, one, WHY)


@pytest.mark.parametrize(
    ("adjustment", "says"),
    [("x", "expected an id of"), ("00000000-0000-0000-0000-000000000000", "found none")],
)
def test_an_unknown_adjustment_is_named(platform: Platform, adjustment: str, says: str) -> None:
    with pytest.raises(AdjustmentRefused, match=says):
        revoke(platform.warehouse, adjustment, WHY)


def test_it_is_revoked_once(platform: Platform) -> None:
    one = give(platform, -250)
    revoke(platform.warehouse, one, WHY)
    with pytest.raises(AdjustmentRefused, match="is revoked already"):
        revoke(platform.warehouse, one, WHY)


def test_what_a_revoked_settlement_settled_is_proposed_again(platform: Platform) -> None:
    platform.bill()
    platform.use("ann", 100, received_at=at("2025-11-05"))
    for _ in range(2):
        platform.look()
        assert propose(platform.warehouse, OCTOBER, author="ann").new == 1
        [row] = platform.warehouse.rows("SELECT settlement_id FROM billing.settlements WHERE status = 'proposed'")
        approve(platform.warehouse, row["settlement_id"], author="bob")
        run_settlements(platform.warehouse, platform.gateway(), author="cem")
        [waiting] = platform.warehouse.rows("SELECT * FROM billing.waiting_adjustments")
        if row["settlement_id"] == 1:
            revoke(platform.warehouse, str(waiting["adjustment_id"]), WHY)
    platform.bill(NOVEMBER)
    assert [one["total_minor"] for one in platform.invoices("ann", NOVEMBER)] == [1150]


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("revoked_first", [True, False])
def test_a_draft_and_a_revocation_at_once_do_not_both_have_it(
    warehouse: Warehouse, level: str, revoked_first: bool
) -> None:
    with warehouse.transaction() as db:
        rows.customer(db)
        period = rows.period(db)
        one = rows.adjustment(db)

    def taken(db):
        return rows.adjusted_draft(db, one, period)

    def revoked(db):
        db.execute(
            text("INSERT INTO billing.adjustment_revocations (adjustment_id, author, reason) VALUES (:a, 'a', 'r')"),
            {"a": one},
        )

    with two_sessions(warehouse, level) as (first, second):
        first.do(revoked if revoked_first else taken)
        waiting = second.waits(taken if revoked_first else revoked)
        first.commit()
        assert re.search("is revoked|another one takes it back|could not serialize", refusal(waiting))
