"""Operators hear of what Dagster's own records show, by its sensors."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from billing_pipeline.defs.alerts import failed_runs_alerted, operators_alerted
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.run_signals import signals_of_dagster
from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alerts import list_alerts
from billing_pipeline_tests.dagster_home import BillingAt

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")

MONTH = {"dagster/partition": "2026-10-01"}


@dg.op(config_schema={"fails": bool})
def work(context: dg.OpExecutionContext) -> None:
    if context.op_config["fails"]:
        raise dg.Failure("held back by a brake", allow_retries=False)


@dg.job
def some_job() -> None:
    work()


def config(*, fails: bool) -> dict[str, object]:
    return {"ops": {"work": {"config": {"fails": fails}}}}


def run(instance: dg.DagsterInstance, *, fails: bool, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
    return some_job.execute_in_process(
        instance=instance, run_config=config(fails=fails), tags=tags, raise_on_error=False
    )


def tick(instance: dg.DagsterInstance, after: timedelta = timedelta(0)) -> str:
    billing = BillingAt(at=(datetime.now(UTC) + after).isoformat())
    context = dg.build_sensor_context(instance, resources={"billing": billing})
    found = operators_alerted.evaluate_tick(context)
    assert not found.run_requests
    return str(found.skip_message)


def test_a_failed_run_is_told_until_a_later_one_of_its_month_succeeds(instance, warehouse):
    assert tick(instance) == "nothing is wrong"
    run(instance, fails=True, tags=MONTH)
    assert tick(instance) == "1 opened"
    [row] = list_alerts(warehouse)
    assert row["summary"].startswith("A run of some_job 2026-10 failed: held back by a brake (run ")
    assert f"{row['billing_month']:%Y-%m}" == "2026-10"
    run(instance, fails=True, tags=MONTH)
    run(instance, fails=False)  # another month
    assert tick(instance) == "1 seen"
    run(instance, fails=False, tags=MONTH)
    assert tick(instance, timedelta(minutes=20)) == "1 resolved"


def test_dagsters_own_failure_sensor_tells_at_once_and_the_look_does_not_repeat_it(instance, warehouse):
    failed = run(instance, fails=True)
    [event] = [one for one in failed.all_events if one.event_type == dg.DagsterEventType.RUN_FAILURE]
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs_alerted",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=failed.dagster_run,
        resources={"billing": Billing()},
    ).for_run_failure()
    failed_runs_alerted(context)
    failed_runs_alerted(context)
    assert tick(instance) == "1 seen"
    assert [row["tellings"] for row in list_alerts(warehouse)] == [1]


def test_runs_that_wait_or_work_too_long_are_seen(instance):
    run_id = instance.create_run_for_job(
        some_job, run_config=config(fails=False), status=dg.DagsterRunStatus.STARTING
    ).run_id
    policy, now = load_alert_policy(None), datetime.now(UTC)
    assert signals_of_dagster(instance, policy, now) == []
    [signal] = signals_of_dagster(instance, policy, now + timedelta(minutes=31))
    assert signal.summary == f"A run of some_job is late: waiting to start for more than 30 minutes (run {run_id[:8]})"
