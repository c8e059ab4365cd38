"""The ticks of the monthly schedules, evaluated as the daemon does, on a frozen clock."""

from datetime import datetime
from typing import Any

import dagster as dg
import pytest

from billing_pipeline.definitions import defs
from billing_pipeline.defs.resources import Billing
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import OCTOBER, SEPTEMBER, add_usage, at, bill, event_of_ann

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


def asked(instance: dg.DagsterInstance, job: str, scheduled: datetime) -> list[tuple[str | None, Any]]:
    """Partition and key of each run that the tick asks for."""
    context = dg.build_schedule_context(
        instance,
        scheduled_execution_time=scheduled,
        repository_def=defs.get_repository_def(),
        resources={"billing": Billing()},
    )
    done = defs.resolve_schedule_def(f"{job}_schedule").evaluate_tick(context)
    return [(request.partition_key, request.run_key) for request in done.run_requests or ()]


def run(instance: dg.DagsterInstance, job: str, month: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    return instance.create_run_for_job(defs.resolve_job_def(job), status=status, tags={"dagster/partition": month})


@pytest.mark.usefixtures("environment")
def test_after_two_missed_ticks_the_newest_asks_for_both_months(billed: Warehouse, instance) -> None:
    add_usage(billed, [event_of_ann("e", "calls", 100, "2025-09-15")])
    bill(billed, SEPTEMBER)
    tick = at("2025-12-01T12:00")
    assert asked(instance, "bill_month", tick) == [("2025-10-01", "2025-10-01/1"), ("2025-11-01", "2025-11-01/1")]
    assert asked(instance, "charge_month", at("2025-10-02T12:00")) == [("2025-09-01", "2025-09-01/1")]

    failed = run(instance, "bill_month", "2025-10-01", dg.DagsterRunStatus.FAILURE)
    assert asked(instance, "bill_month", tick)[0] == ("2025-10-01", "2025-10-01/2"), "a failed run used up its key"
    under_way = run(instance, "bill_month", "2025-10-01", dg.DagsterRunStatus.STARTED)
    assert asked(instance, "bill_month", tick) == [("2025-11-01", "2025-11-01/1")]
    assert failed.run_id != under_way.run_id
    bill(billed, OCTOBER)
    assert asked(instance, "bill_month", tick) == [("2025-11-01", "2025-11-01/1")]
