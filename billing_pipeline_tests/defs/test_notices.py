"""Notices and dunning in real Dagster runs: the sensors ring when something is due, and the runs do it."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import dagster as dg
import pytest

from billing_pipeline.definitions import defs
from billing_pipeline.defs.customers_told import customers_told
from billing_pipeline.defs.dunning_steps import dunning_due
from billing_pipeline.defs.notices import notices_due
from billing_pipeline.defs.resources import Billing
from billing_pipeline.notices.dunning import standings
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.charging.world import Bill, Emulated, World
from billing_pipeline_tests.dagster_home import BillingAt
from billing_pipeline_tests.month_rows import Event, add_customer, add_usage, at, load_book

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@pytest.fixture
def world(warehouse, stripe_of_commands: Emulated) -> World:
    return World(warehouse, stripe_of_commands)


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, now: datetime | None = None) -> list[dg.RunRequest]:
    billing = BillingAt(at=now.isoformat()) if now else Billing()
    context = dg.build_sensor_context(instance, resources={"billing": billing})
    return list(sensor.evaluate_tick(context).run_requests or ())


def run(instance: dg.DagsterInstance, job: str) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)


def test_the_sensor_rings_for_notices_and_the_run_writes_mails(instance, world):
    assert tick(notices_due, instance) == []
    world.bill(Bill("ann"), Bill("bob", card=None))
    world.charge()
    [request] = tick(notices_due, instance)
    assert request.run_key == "after:none"
    done = run(instance, "send_notices")
    assert done.success
    assert all(check.passed for check in done.get_asset_check_evaluations())
    assert tick(notices_due, instance) == []
    mails = [
        message_from_bytes(file.read_bytes(), policy=policy.default)
        for file in (load_settings().state_dir / "mail").glob("*.eml")
    ]
    assert sorted(mail["To"] for mail in mails) == ["ann@example.com"] * 2 + ["bob@example.com"] * 2
    assert {row["state"] for row in list_notices(world.warehouse)} == {"sent"}


def test_what_is_late_or_given_up_fails_its_check(instance, world):
    world.bill(Bill("ann"), Bill("bob"))
    with world.warehouse.transaction() as connection:
        driver = connection.connection.driver_connection
        driver.execute("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        driver.execute("UPDATE billing.notice_sendings SET due_at = now() - interval '2 hours'")
        driver.execute(
            "UPDATE billing.notice_sendings SET state = 'failed', last_error = '550 nobody' WHERE notice_id ="
            " (SELECT min(notice_id) FROM billing.notices)"
        )
        driver.execute("UPDATE billing.charge_brakes SET incarnation = '1/1'")
    done = run(instance, "send_notices")
    failed = {check.check_name for check in done.get_asset_check_evaluations() if not check.passed}
    assert failed == {"no_notice_late", "no_notice_given_up"}


def test_the_sensor_rings_for_steps_and_the_run_takes_them(instance, world):
    world.bill(Bill("ann", card=None))
    world.charge()
    assert tick(dunning_due, instance) == []
    assert len(tick(dunning_due, instance, datetime.now(UTC) + timedelta(days=4))) == 1
    with world.warehouse.transaction() as connection:
        driver = connection.connection.driver_connection
        driver.execute("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        driver.execute("UPDATE billing.dunning_cases SET begins_at = now() - interval '4 days'")
    [request] = tick(dunning_due, instance)
    assert request.run_key == "after:none"
    done = run(instance, "take_dunning_steps")
    assert done.success
    [overdue] = done.asset_materializations_for_node("overdue_invoices")
    assert (overdue.metadata["dagster/row_count"].value, overdue.metadata["newly_counted"].value) == (1, 0)
    assert all(check.passed for check in done.get_asset_check_evaluations())
    assert [(row["customer_id"], row["state"]) for row in standings(world.warehouse)] == [("ann", "past_due")]
    assert tick(dunning_due, instance) == []
    [row] = world.warehouse.rows("SELECT * FROM billing.overdue_invoices")
    assert (row["customer_id"], row["remaining_minor"], row["level"]) == ("ann", 4000, "past_due")
    assert (row["last_step"], row["course"]) == ("payment_overdue", "standard")


def test_the_look_writes_what_is_reached_and_goes_on_where_it_ended(instance, warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("1", "ann", "calls", 10, at("2025-11-02"))])
    billing = BillingAt(at="2025-11-03T00:00:00+00:00")
    context = dg.build_sensor_context(instance, resources={"billing": billing}, cursor="aaa")
    found = customers_told.evaluate_tick(context)
    assert (found.skip_message, found.cursor) == ("1 looked at, 1 told", "")
    [notice] = list_notices(warehouse)
    assert notice["kind"] == "allowance_reached"
