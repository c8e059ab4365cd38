"""Old runs of the small jobs go, with their events and output; what Dagster knows of the months stays."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from billing_pipeline.definitions import defs
from billing_pipeline.defs.log_retention import prune

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


def output_of(instance: dg.DagsterInstance, run_id: str) -> Path:
    logs = instance.compute_log_manager
    assert isinstance(logs, LocalComputeLogManager)
    return Path(logs.get_captured_local_path([run_id, "compute_logs", "step"], "out"))


def ended(instance: dg.DagsterInstance, job: str) -> str:
    run = instance.create_run_for_job(defs.resolve_job_def(job), status=dg.DagsterRunStatus.SUCCESS)
    output = output_of(instance, run.run_id)
    output.parent.mkdir(parents=True)
    output.write_text("said\n", encoding="utf-8")
    return run.run_id


def test_old_runs_of_small_jobs_go_but_the_newest_and_those_of_months_stay(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        sweeps = [ended(instance, "sweep_stripe_events") for _ in range(3)]
        months = [ended(instance, job) for job in ("bill_month", "charge_month")]
        now = datetime.now(UTC)
        assert prune(instance, now + timedelta(days=89), 90) == (0, 0)
        assert prune(instance, now + timedelta(days=91), 90) == (2, 5)
        assert {run.run_id for run in instance.get_runs()} == {sweeps[-1], *months}
        assert not any(output_of(instance, run_id).exists() for run_id in (*sweeps, *months))
        assert prune(instance, now + timedelta(days=91), 90)[0] == 0
