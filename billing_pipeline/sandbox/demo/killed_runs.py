"""Runs of a demo that was killed: Dagster would show them as running for ever, nobody monitors a run in process."""

import os
from contextlib import suppress

import dagster as dg

from billing_pipeline.defs.running import STARTED_BY

PID_TAG = "billing/demo_pid"


def tags() -> dict[str, str]:
    """Tags that name this process as the one that runs a job, and the demo as who started it."""
    return {PID_TAG: str(os.getpid()), STARTED_BY: "demo"}


def close_killed_runs(instance: dg.DagsterInstance) -> None:
    """Mark the unfinished runs of demos whose process is gone as failed."""
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        pid = run.tags.get(PID_TAG)
        if pid is not None and not _is_alive(int(pid)):
            instance.report_run_failed(run, f"process {pid}, which ran this, was killed")


def _is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        return True
    return False
