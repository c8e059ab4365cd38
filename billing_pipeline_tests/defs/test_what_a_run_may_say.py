"""What a launchpad's config and tags can say of a run, launched as the UI launches it, and what none of them bypasses."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from billing_pipeline.core.months import month_after
from billing_pipeline.definitions import defs
from billing_pipeline.invoicing.finalisation import Finalised, finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH
from billing_pipeline_tests.month_rows import add_usage, at, complete_feed, event_of_ann
from billing_pipeline_tests.postgres.invariants import rows

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")

AHEAD = "2031-01-01T00:00:00+00:00"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def test_no_job_has_a_clock_or_a_place_of_stripe_or_of_the_database_to_set() -> None:
    for job in defs.resolve_all_job_defs():
        for resource in {"billing", "stripe"} & job.resource_defs.keys():
            for setting in ("now", "clock", "at", "database_url", "api_base", "settings"):
                with pytest.raises(dg.DagsterInvalidConfigError, match=f'unexpected config entry "{setting}"'):
                    dg.validate_run_config(job, {"resources": {resource: {"config": {setting: AHEAD}}}})


def bill(instance: dg.DagsterInstance, month: str, config: dict[str, Any]) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("bill_month").execute_in_process(
        instance=instance,
        partition_key=month,
        run_config={"ops": {"usage_snapshots": {"config": config}}, **QUIET},
        raise_on_error=False,
    )


@pytest.mark.parametrize(
    ("as_of", "says"),
    [(AHEAD, "lies ahead"), ("2025-12-01", "expected an offset, such as Z"), ("soon", "Invalid isoformat string")],
)
def test_a_cut_off_that_lies_ahead_or_is_none_is_one_line(billed: Warehouse, instance, as_of: str, says: str) -> None:
    complete_feed(billed, at("2025-12-01"))
    done = bill(instance, "2025-10-01", {"as_of": as_of})
    [failed] = [event for event in done.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    assert failed.step_failure_data.user_failure_data is not None
    assert says in str(failed.step_failure_data.user_failure_data.description)


def test_what_a_draft_run_was_released_from_is_in_its_metadata_and_in_the_log(billed: Warehouse, instance) -> None:
    add_usage(billed, [event_of_ann("e", "calls", 12, "2025-10-15")])
    done = bill(instance, "2025-10-01", {"carry_forward": True, "as_of": "2026-01-01T00:00:00Z"})
    assert done.success
    [told] = done.asset_materializations_for_node("usage_snapshots")
    assert (
        told.metadata["released_from"].value
        == "feed_reaches_period_end (carry_forward), usage received after 2026-01-01T00:00:00Z (as_of)"
    )
    logged = billed.rows(
        "SELECT action, run_id FROM billing.automation_log WHERE action LIKE 'month.%' ORDER BY log_id"
    )
    assert [(row["action"], row["run_id"]) for row in logged] == [
        ("month.carry_forward", done.run_id),
        ("month.as_of", done.run_id),
    ]


def test_postgres_finalises_no_period_that_has_not_ended_whoever_asks(warehouse: Warehouse) -> None:
    next_month = month_after(datetime.now(UTC).date().replace(day=1))
    with warehouse.transaction() as db:
        rows.draft(db, "ended")
        running = rows.draft(db, "running", next_month)
        for month in (MONTH, next_month):
            rows.pass_gates(db, month)
        with rows.refused(db, "the period of customer running ends at .*: nothing of it is final before"):
            rows.finalise(db, running)
    assert finalise_month(warehouse, next_month, "run") == Finalised(0, {"not_ended": ("running",)})
    assert finalise_month(warehouse, MONTH, "run") == Finalised(1)
