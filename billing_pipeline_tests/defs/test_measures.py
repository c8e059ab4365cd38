"""What pages show of measures is worked out again by the daily job and after charging, and stops no charging."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from billing_pipeline.books.measure_reading import read_measure
from billing_pipeline.books.stored_measures import work_out
from billing_pipeline.definitions import defs
from billing_pipeline.defs.running import charge_month
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill, Emulated, World

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@pytest.fixture
def drafted(warehouse: Warehouse, stripe_of_commands: Emulated) -> World:
    """A month that is drafted, when one of its measures was worked out."""
    world = World(warehouse, stripe_of_commands)
    world.drafts(Bill("a"))
    work_out(warehouse, "net_revenue")
    return world


def test_the_daily_job_works_out_again_what_is_kept(drafted: World, instance: dg.DagsterInstance) -> None:
    began = datetime.now(UTC)
    done = defs.resolve_job_def("prune_logs").execute_in_process(
        instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )
    assert done.success
    as_of = read_measure(drafted.warehouse, "net_revenue", personal=True).as_of
    assert as_of is not None
    assert as_of > began


def test_a_run_that_charged_works_out_again_what_is_kept(drafted: World, instance: dg.DagsterInstance) -> None:
    assert read_measure(drafted.warehouse, "net_revenue", personal=True).rows == []
    assert charge_month(instance, MONTH).success
    [row] = read_measure(drafted.warehouse, "net_revenue", personal=True).rows
    assert row["revenue_minor"] == drafted.warehouse.scalar("SELECT sum(total_minor) FROM billing.invoices")


def test_a_run_that_makes_no_invoice_final_leaves_what_is_kept_to_the_daily_job(
    drafted: World, instance: dg.DagsterInstance
) -> None:
    assert charge_month(instance, MONTH).success
    kept_at = read_measure(drafted.warehouse, "net_revenue", personal=True).as_of
    assert charge_month(instance, MONTH).success
    assert read_measure(drafted.warehouse, "net_revenue", personal=True).as_of == kept_at


def test_a_measure_that_cannot_be_worked_out_fails_no_run_that_charged(
    drafted: World, instance: dg.DagsterInstance
) -> None:
    with drafted.warehouse.transaction() as connection:
        as_login(connection)
        connection.exec_driver_sql("DROP FUNCTION billing.store_measure")
    assert charge_month(instance, MONTH).success
    assert drafted.states() == {"a": ("paid", None)}
