"""The time for looking at drafts, counted in Postgres from each draft, and who does not wait for it."""

import pytest
from sqlalchemy import Connection

from billing_pipeline.charging.charge_requests import requests_due
from billing_pipeline.invoicing.finalisation import Finalised, finalise_month
from billing_pipeline.invoicing.finalisation_policy import set_finalisation_policy
from billing_pipeline.invoicing.starter import UNKNOWN, Starter
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill, insert_drafts, pass_gates
from billing_pipeline_tests.month_rows import execute
from billing_pipeline_tests.postgres.invariants import rows

ANN, SCHEDULE = Starter("person", "ann"), Starter("schedule", "charge_month_schedule")


@pytest.fixture
def looked_at(warehouse: Warehouse) -> Warehouse:
    """Drafts of just now, which are looked at for a day."""
    insert_drafts(warehouse, [Bill("a"), Bill("b")], {})
    pass_gates(warehouse)
    set_finalisation_policy(warehouse, review_hours=24, author="ops")
    return warehouse


def age(warehouse: Warehouse, hours: int, customer: str = "") -> None:
    """As if they had been drafted earlier; no trigger minds."""
    with warehouse.transaction() as connection:
        rows.execute(connection, "SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        rows.execute(
            connection,
            "UPDATE billing.draft_times AS t SET drafted_at = t.drafted_at - make_interval(hours => :hours)"
            " FROM billing.invoices AS i WHERE i.invoice_id = t.invoice_id AND :customer IN ('', i.customer_id)",
            hours=hours,
            customer=customer,
        )


@pytest.mark.parametrize("starter", [SCHEDULE, UNKNOWN], ids=lambda starter: starter.kind)
def test_a_draft_waits_a_day_for_everybody_but_a_persons_own_command(looked_at: Warehouse, starter: Starter) -> None:
    assert finalise_month(looked_at, MONTH, "early", starter=starter) == Finalised(0, {"in_review": ("a", "b")})
    assert requests_due(looked_at) == []
    age(looked_at, 23)
    assert finalise_month(looked_at, MONTH, "early", starter=starter).count == 0
    age(looked_at, 1)
    [request] = requests_due(looked_at)
    assert request.billing_month == MONTH
    assert finalise_month(looked_at, MONTH, "later", starter=starter) == Finalised(2)
    assert requests_due(looked_at) == []
    assert looked_at.scalar("SELECT count(*) FROM billing.charge_requests") == 0


def test_a_persons_own_command_does_not_wait_and_is_named(looked_at: Warehouse) -> None:
    assert finalise_month(looked_at, MONTH, "run", starter=ANN) == Finalised(2)
    [row] = looked_at.rows("SELECT DISTINCT finalised_by, finalised_through FROM billing.invoices")
    assert row == {"finalised_by": "ann", "finalised_through": "person"}


def test_a_young_draft_keeps_no_older_one_back(looked_at: Warehouse) -> None:
    age(looked_at, 24, "a")
    assert finalise_month(looked_at, MONTH, "run", starter=SCHEDULE) == Finalised(1, {"in_review": ("b",)})


def test_postgres_refuses_a_young_draft_whoever_asks(db: Connection) -> None:
    invoice_id = rows.checked_draft(db)
    rows.execute(db, "UPDATE billing.finalisation_policy SET review_hours = 24, changed_by = 'ops'")
    with rows.refused(db, "the time for looking at its drafts is not over"):
        rows.finalise(db, invoice_id)
    for statement in (
        "UPDATE billing.draft_times SET drafted_at = drafted_at - interval '1 day'",
        "DELETE FROM billing.draft_times",
        "TRUNCATE billing.draft_times",
    ):
        with rows.refused(db, "a draft keeps its time"):
            rows.execute(db, statement)


def test_a_draft_that_is_built_again_as_it_was_keeps_its_time(billed: Warehouse) -> None:
    from billing_pipeline_tests.month_rows import OCTOBER, add_usage, bill, event_of_ann

    add_usage(billed, [event_of_ann("e", "calls", 100, "2025-10-15")])
    drafted = "SELECT drafted_at FROM billing.draft_times"
    bill(billed, OCTOBER)
    before = billed.scalar(drafted)
    bill(billed, OCTOBER)
    assert billed.scalar(drafted) == before
    add_usage(billed, [event_of_ann("late", "calls", 1, "2025-10-16")])
    bill(billed, OCTOBER)
    assert billed.scalar(drafted) > before


def test_who_changes_the_time_is_in_the_log(warehouse: Warehouse) -> None:
    execute(warehouse, "UPDATE billing.finalisation_policy SET review_hours = 2, changed_by = 'ops'")
    [logged] = warehouse.rows(
        "SELECT actor, state_after FROM billing.automation_log WHERE action = 'policy.change' AND actor = 'ops'"
    )
    assert logged["state_after"]["review_hours"] == 2
