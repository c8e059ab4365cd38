"""Runs as the UI launches them and as the daemon's schedule does, with approvals required: who stands behind which."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.grpc_server_registry import GrpcServerRegistry
from dagster._core.test_utils import freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._grpc.constants import GrpcServerCommand
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster_graphql.client.query import LAUNCH_PIPELINE_EXECUTION_MUTATION
from dagster_graphql.test.utils import execute_dagster_graphql

from billing_pipeline.corrections.approvals import approve_month
from billing_pipeline.defs.starters import STARTED_BY
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.charging.world import MONTH, Bill, Emulated, World

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = [
    pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
ENDS_WITHIN_S = 240
TICK = datetime(2026, 11, 2, 12, 0, 5, tzinfo=UTC)


@pytest.fixture
def world(warehouse, stripe_of_commands: Emulated, monkeypatch: pytest.MonkeyPatch) -> World:
    """A month whose charging needs approvals; the processes that runs get read it from the environment."""
    monkeypatch.setenv("BILLING_REQUIRE_APPROVAL", "yes")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return World(warehouse, stripe_of_commands)


@pytest.fixture
def webserver(instance: dg.DagsterInstance, world: World) -> Iterator[WorkspaceProcessContext]:  # noqa: ARG001
    """What `dagster-webserver` and the daemon work with: the code location in a process of its own."""
    with GrpcServerRegistry(
        instance_ref=instance.get_ref(),
        server_command=GrpcServerCommand.API_GRPC,
        heartbeat_ttl=30,
        startup_timeout=120,
        wait_for_processes_on_shutdown=True,  # a server that outlives the test asks for a database that is gone
    ) as registry:
        target = WorkspaceFileTarget([str(ROOT / "workspace.yaml")])
        with WorkspaceProcessContext(instance, target, grpc_server_registry=registry) as context:
            yield context
        registry.shutdown_all_processes()  # else a server ends when nobody has asked it for anything for a while


def launch(webserver: WorkspaceProcessContext, config: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
    """What the launchpad's button sends for October's charging run, and the answer."""
    params = {
        "selector": {
            "repositoryLocationName": "billing_pipeline",
            "repositoryName": "__repository__",
            "pipelineName": "charge_month",
        },
        "runConfigData": config,
        "mode": "default",
        "executionMetadata": {
            "tags": [
                {"key": key, "value": value} for key, value in {"dagster/partition": MONTH.isoformat(), **tags}.items()
            ]
        },
    }
    done = execute_dagster_graphql(
        webserver.create_request_context(), LAUNCH_PIPELINE_EXECUTION_MUTATION, {"executionParams": params}
    )
    answer: dict[str, Any] = done.data["launchPipelineExecution"]
    return answer


def execute_queued(webserver: WorkspaceProcessContext, run_id: str) -> tuple[dg.DagsterRunStatus, str]:
    """What the queue daemon does with the run; its end, and why it failed."""
    instance = webserver.instance
    instance.launch_run(run_id, webserver.create_request_context())
    deadline = time.monotonic() + ENDS_WITHIN_S
    while (run := instance.get_run_by_id(run_id)) is None or run.status not in ENDED:
        assert time.monotonic() < deadline, run
        time.sleep(0.5)
    failures = [
        str(record.event_log_entry.dagster_event.step_failure_data.user_failure_data.description)
        for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
        if record.event_log_entry.dagster_event is not None
        and record.event_log_entry.dagster_event.step_failure_data.user_failure_data is not None
    ]
    return run.status, "; ".join(failures)


def test_no_config_or_tag_of_a_launchpad_stands_in_for_a_second_person(
    world: World, webserver: WorkspaceProcessContext
) -> None:
    world.drafts(Bill("a"))
    moved = launch(webserver, {"resources": {"billing": {"config": {"now": "2031-01-01T00:00:00Z"}}}}, {})
    assert moved["__typename"] == "RunConfigValidationInvalid"

    approve_month(world.warehouse, MONTH, author="ann")
    forged = {"dagster/schedule_name": "charge_month_schedule", STARTED_BY: "bob"}
    launched = launch(webserver, {}, forged)
    assert launched["__typename"] == "LaunchRunSuccess", launched
    status, why = execute_queued(webserver, launched["run"]["runId"])
    assert status == dg.DagsterRunStatus.FAILURE
    assert "nobody knows who started the run, so it needs the approvals of two people and has one" in why
    assert world.warehouse.scalar("SELECT status FROM billing.invoices") == "draft"


def test_a_run_that_the_daemons_own_tick_names_is_the_schedules_and_needs_one_approval(
    world: World, webserver: WorkspaceProcessContext
) -> None:
    world.drafts(Bill("a"))
    approve_month(world.warehouse, MONTH, author="ann")
    instance = webserver.instance
    [location] = webserver.create_request_context().code_locations
    [repository] = location.get_repositories().values()
    with freeze_time(TICK - timedelta(minutes=1)):
        instance.start_schedule(repository.get_schedule("charge_month_schedule"))
    with freeze_time(TICK):
        list(launch_scheduled_runs(webserver, logging.getLogger("tick"), TICK, {}))
    [run] = instance.get_runs(dg.RunsFilter(job_name="charge_month"))
    assert run.tags["dagster/partition"] == MONTH.isoformat()
    assert execute_queued(webserver, run.run_id)[0] == dg.DagsterRunStatus.SUCCESS
    [row] = world.warehouse.rows("SELECT finalised_by, finalised_through FROM billing.invoices")
    assert row == {"finalised_by": "charge_month_schedule", "finalised_through": "schedule"}
