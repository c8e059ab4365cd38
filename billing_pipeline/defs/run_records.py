"""How the runs of a month are doing, by Dagster's own records."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache

import dagster as dg

from billing_pipeline.defs.instance import dagster_instance
from billing_pipeline.defs.running import STARTED_BY, check_line, failure_reason

SHOWN = 5
PARTITION = "dagster/partition"
"""The tag in which Dagster keeps a run's partition."""
JOBS = ("bill_month", "bill_customer", "charge_month")
_ENDED = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "canceled",
}

_MAY_FAIL = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step of a run, which builds the asset of its name. `state`: running, success, failed or skipped.

    `took_s` is exact to the millisecond.
    """

    name: str
    state: str
    took_s: float | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run. `state`: waiting, running, success, failed or canceled; `author`: who is said to have started it.

    `reasons`: why it failed, a line for each step and check that did.
    """

    run_id: str
    job: str
    state: str
    author: str | None
    started_at: datetime | None
    ended_at: datetime | None
    steps: list[StepRecord] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        """Whether more is to come."""
        return self.state in ("waiting", "running")


def runs_of_month(dagster_postgres_url: str, month: date) -> list[RunRecord]:
    """The newest runs of the month's jobs, the newest first.

    Raises:
        SettingsError: Dagster's storage does not answer.
    """
    instance = _instance(dagster_postgres_url)
    records = instance.get_run_records(dg.RunsFilter(tags={PARTITION: month.isoformat()}), limit=SHOWN)
    return [_record(instance, one) for one in records if one.dagster_run.job_name in JOBS]


def _record(instance: dg.DagsterInstance, found: dg.RunRecord) -> RunRecord:
    run = found.dagster_run
    waiting = run.status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)
    stats = sorted(instance.get_run_step_stats(run.run_id), key=lambda step: step.start_time or 0)
    return RunRecord(
        run_id=run.run_id,
        job=run.job_name,
        state=_ENDED.get(run.status, "waiting" if waiting else "running"),
        author=run.tags.get(STARTED_BY),
        started_at=_instant(found.start_time),
        ended_at=_instant(found.end_time),
        steps=[
            StepRecord(
                step.step_key,
                {"SUCCESS": "success", "FAILURE": "failed", "SKIPPED": "skipped"}.get(
                    step.status.value if step.status else "", "running"
                ),
                round(step.end_time - step.start_time, 3) if step.end_time and step.start_time else None,
            )
            for step in stats
        ],
        reasons=_reasons(instance, run.run_id) if run.status is dg.DagsterRunStatus.FAILURE else [],
    )


def _reasons(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    records = instance.get_records_for_run(run_id, of_type=_MAY_FAIL).records
    events = [event for one in records if (event := one.event_log_entry.dagster_event) is not None]
    return [reason for event in events for reason in _reasons_of(event)]


def _reasons_of(event: dg.DagsterEvent) -> list[str]:
    if event.event_type is dg.DagsterEventType.STEP_FAILURE:
        return failure_reason(event)
    check = event.asset_check_evaluation_data
    is_failed = not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    return [check_line(check)] if is_failed else []


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


_opening = threading.Lock()


def _instance(url: str) -> dg.DagsterInstance:
    """One for all requests of the process: opening it reads files and asks for tables."""
    with _opening:
        return _opened(url)


@cache
def _opened(url: str) -> dg.DagsterInstance:
    return dagster_instance(url).__enter__()
