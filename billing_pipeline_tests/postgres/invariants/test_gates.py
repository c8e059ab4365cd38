"""The line of no return: nothing is finalised unless every gate passed for exactly the rows that there are."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from billing_pipeline.gates.rules.gates import GATES
from billing_pipeline_tests.postgres.invariants.rows import (
    built_from_each_other,
    checked_draft,
    customer,
    draft,
    execute,
    finalise,
    gate,
    insert,
    intent,
    line,
    pass_gates,
    period,
    period_of,
    price,
    refused,
    required_gates,
    settle,
    snapshot,
    undone,
    value,
)

REQUIRED = sorted((gate.asset, gate.name) for gate in GATES if gate.blocking)
each_gate = pytest.mark.parametrize("required", REQUIRED, ids=".".join)


def test_the_database_requires_the_gates_that_the_program_blocks_on(db: Connection):
    assert required_gates(db) == REQUIRED


def test_a_draft_whose_gates_all_passed_is_finalised_together_with_its_intent(db: Connection):
    invoice_id = checked_draft(db)
    finalise(db, invoice_id)
    intent(db, invoice_id)
    settle(db)


def test_a_month_without_any_gate_is_not_finalised(db: Connection):
    invoice_id = draft(db)
    with refused(db, "is not finalised: gate"):
        finalise(db, invoice_id)


@each_gate
def test_each_missing_gate_refuses(db: Connection, required: tuple[str, str]):
    invoice_id = draft(db)
    pass_gates(db, without=required)
    with refused(db, f"gate {required[0]}.{required[1]} not checked for version 1"):
        finalise(db, invoice_id)


@each_gate
def test_each_failed_gate_refuses_until_it_passes(db: Connection, required: tuple[str, str]):
    invoice_id = checked_draft(db)
    gate(db, *required, passed=False, failing_rows=3)
    with refused(db, f"gate {required[0]}.{required[1]} failed for 3 rows"):
        finalise(db, invoice_id)
    gate(db, *required)
    with undone(db):
        finalise(db, invoice_id)
        intent(db, invoice_id)


@each_gate
def test_each_gate_counts_only_for_the_version_of_the_rows_that_it_saw(db: Connection, required: tuple[str, str]):
    invoice_id = checked_draft(db)
    period_id = period_of(db, invoice_id)
    asset = required[0]
    if asset == "usage_snapshots":
        snapshot(db, period_id, meter="users")
    elif asset == "invoice_line_items":
        customer(db, "c2")
        line(db, UUID(int=2), period(db, "c2"), price(db, meter="users"), "c2")
    else:
        draft(db, "c2")
    built_from_each_other(db)
    for asset_, check_name in required_gates(db):
        if (asset_, check_name) != required:
            gate(db, asset_, check_name)
    with refused(db, f"gate {required[0]}.{required[1]} not checked for version"):
        finalise(db, invoice_id)
    gate(db, *required)
    with undone(db):
        finalise(db, invoice_id)
        intent(db, invoice_id)


def test_a_gate_of_another_month_does_not_count(db: Connection):
    invoice_id = draft(db)
    customer(db, "c2")
    snapshot(db, period(db, "c2", billing_month=date(2026, 9, 1)), "c2", billing_month=date(2026, 9, 1))
    built_from_each_other(db)
    for asset, check_name in required_gates(db):
        gate(db, asset, check_name, date(2026, 9, 1), version=1 if asset == "usage_snapshots" else 0)
    with refused(db, "month 2026-10-01 is not finalised: gate"):
        finalise(db, invoice_id)


def test_a_gate_does_not_pass_rows_that_are_still_to_be_written(db: Connection):
    draft(db)
    with refused(db, "version 2 of month 2026-10-01, which does not exist yet"):
        gate(db, "usage_snapshots", "unique_grain", version=2)
    with refused(db, "does not exist yet"):
        gate(db, "usage_snapshots", "unique_grain", date(2026, 9, 1), version=1)


@pytest.mark.parametrize("over", [{"passed": False}, {"failing_rows": 1}, {"failing_rows": -1}, {"version": None}])
def test_a_gate_passed_exactly_when_no_row_failed(db: Connection, over: dict[str, Any]):
    draft(db)
    with refused(db, "check|null value"):
        gate(db, "invoices", "one_currency", **over)


@pytest.mark.parametrize(
    ("below", "above"), [("invoice_line_items", "usage_snapshots"), ("invoices", "invoice_line_items")]
)
def test_rows_built_from_an_older_upstream_are_not_finalised(db: Connection, below: str, above: str):
    invoice_id = checked_draft(db)
    execute(db, "UPDATE billing.asset_months SET built_from = 0 WHERE asset = :asset", asset=below)
    with refused(db, f"gate {below}.built_from_current_rows built from version 0 of {above}, which is now at 1"):
        finalise(db, invoice_id)


def test_rows_that_do_not_know_what_they_were_built_from_are_not_finalised(db: Connection):
    invoice_id = checked_draft(db)
    execute(db, "UPDATE billing.asset_months SET built_from = NULL WHERE asset = 'invoices'")
    with refused(db, "built_from_current_rows"):
        finalise(db, invoice_id)


def test_usage_that_changed_after_the_lines_were_built_stops_the_month(db: Connection):
    invoice_id = checked_draft(db)
    snapshot(db, period_of(db, invoice_id), meter="users")
    for asset, check_name in required_gates(db):
        gate(db, asset, check_name)
    with refused(db, "built from version 1 of usage_snapshots, which is now at 2"):
        finalise(db, invoice_id)


@pytest.mark.parametrize(
    "change",
    ["version = version - 1", "version = 0", "guard = guard - 1", "billing_month = '2026-09-01'", "asset = 'x'"],
)
def test_a_version_never_comes_back(db: Connection, change: str):
    checked_draft(db)
    with refused(db, "versions of a month only rise"):
        execute(db, f"UPDATE billing.asset_months SET {change} WHERE asset = 'invoice_line_items'")


@pytest.mark.parametrize("statement", ["DELETE FROM", "TRUNCATE"])
def test_versions_do_not_start_again(db: Connection, statement: str):
    draft(db)
    with refused(db, "versions of a month only rise"):
        execute(db, f"{statement} billing.asset_months")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM billing.required_gates",
        "TRUNCATE billing.required_gates",
        "UPDATE billing.required_gates SET check_name = 'volume_within_bounds' WHERE check_name = 'usage_conserved'",
    ],
)
def test_a_gate_is_not_lifted(db: Connection, statement: str):
    with refused(db, "lifted by a migration"):
        execute(db, statement)


def test_a_gate_added_later_is_required(db: Connection):
    invoice_id = checked_draft(db)
    insert(db, "required_gates", asset="invoices", check_name="looked_at")
    with refused(db, "gate invoices.looked_at not checked"):
        finalise(db, invoice_id)


def test_every_change_of_the_rows_is_another_version(db: Connection):
    invoice_id = draft(db)
    seen = [value(db, "SELECT version FROM billing.asset_months WHERE asset = 'invoices'")]
    execute(db, "DELETE FROM billing.invoices")
    seen.append(value(db, "SELECT version FROM billing.asset_months WHERE asset = 'invoices'"))
    execute(db, "DELETE FROM billing.invoice_line_items WHERE invoice_id = :id", id=invoice_id)
    assert seen == [1, 2]
    assert value(db, "SELECT version FROM billing.asset_months WHERE asset = 'invoice_line_items'") == 2


def test_a_customer_on_hold_is_not_finalised(db: Connection):
    invoice_id = checked_draft(db)
    execute(db, "UPDATE billing.customers SET status = 'on_hold'")
    with refused(db, "customer c1 is on hold"):
        finalise(db, invoice_id)
    execute(db, "UPDATE billing.customers SET status = 'active'")
    with undone(db):
        finalise(db, invoice_id)
        intent(db, invoice_id)


def test_one_customer_on_hold_does_not_stop_the_others(db: Connection):
    invoice_id = draft(db, "c1")
    draft(db, "c2", status="on_hold")
    pass_gates(db)
    with refused(db, "customer c2 is on hold"):
        execute(
            db,
            "UPDATE billing.invoices SET status = 'open', finalised_at = now(),"
            " invoice_number = CASE customer_id WHEN 'c1' THEN 1 ELSE 2 END",
        )
    with undone(db):
        finalise(db, invoice_id)
        intent(db, invoice_id)


def test_no_invoice_is_finalised_without_its_charge_intent(db: Connection):
    invoice_id = checked_draft(db)
    with refused(db, "finalised without its charge intent"):
        finalise(db, invoice_id)


def test_one_of_many_without_an_intent_refuses_them_all(db: Connection):
    first = draft(db, "c1")
    second = checked_draft(db, "c2")
    with refused(db, "finalised without its charge intent"):
        finalise(db, first, 1)
        finalise(db, second, 2)
        intent(db, first)


@pytest.mark.parametrize("status", ["paid", "void", "uncollectible"])
def test_a_draft_goes_nowhere_but_to_open(db: Connection, status: str):
    checked_draft(db)
    with refused(db, f"status does not go from draft to {status}"):
        execute(
            db,
            "UPDATE billing.invoices SET status = :status, invoice_number = 1, finalised_at = now()",
            status=status,
        )


OTHER_WAYS = {
    "merge": """
        MERGE INTO billing.invoices AS i USING (SELECT 1) AS s ON TRUE
        WHEN MATCHED THEN UPDATE SET status = 'open', invoice_number = 1, finalised_at = now()
    """,
    "upsert": """
        INSERT INTO billing.invoices
        (invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, run_id)
        SELECT invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, run_id
        FROM billing.invoices
        ON CONFLICT (invoice_id) DO UPDATE SET status = 'open', invoice_number = 1, finalised_at = now()
    """,
    "with": """
        WITH done AS (
            UPDATE billing.invoices SET status = 'open', invoice_number = 1, finalised_at = now() RETURNING 1
        )
        SELECT * FROM done
    """,
}


@pytest.mark.parametrize("statement", OTHER_WAYS.values(), ids=OTHER_WAYS)
def test_no_other_statement_leads_round_the_gates(db: Connection, statement: str):
    draft(db)
    with refused(db, "month 2026-10-01 is not finalised"):
        execute(db, statement)
