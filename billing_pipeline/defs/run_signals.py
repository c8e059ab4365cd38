"""What Dagster's own records say is wrong: runs that failed or are late, schedules and sensors that fail."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import dagster as dg

from billing_pipeline.defs.running import failure_reason
from billing_pipeline.notices.rules.alert_policy import AlertPolicy
from billing_pipeline.notices.rules.alert_rules import Signal

_PARTITION = "dagster/partition"
_RECORDS_MAX = 500
_WAITS = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING]


def signals_of_dagster(instance: dg.DagsterInstance, policy: AlertPolicy, now: datetime) -> list[Signal]:
    """Everything of run_failed, run_late and tick_failed that is so at `now`; a job and month is named once."""
    found = [
        *_failed_runs(instance, now - timedelta(days=policy.threshold("run_failed", "within_d"))),
        *_late_runs(instance, policy, now),
        *_failing_ticks(instance, policy.threshold("tick_failed", "ticks")),
    ]
    return list({(signal.rule, signal.subject): signal for signal in reversed(found)}.values())


def failed_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Signal:
    """A run that failed, with its reason."""
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records
    reasons = [
        reason
        for record in records
        if (event := record.event_log_entry.dagster_event) is not None
        for reason in failure_reason(event)
    ]
    why = reasons[0] if reasons else "see its failed checks"
    return Signal("run_failed", _subject(run), example=f"{why} (run {run.run_id[:8]})", month=_month(run))


def _failed_runs(instance: dg.DagsterInstance, since: datetime) -> Iterator[Signal]:
    """Runs that no later run of the same job and month has made up for, the newest first."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    seen = set()
    for record in instance.get_run_records(failed, limit=_RECORDS_MAX):
        run = record.dagster_run
        if (subject := _subject(run)) in seen:
            continue
        seen.add(subject)
        partition = run.tags.get(_PARTITION)
        later = dg.RunsFilter(
            job_name=run.job_name,
            statuses=[dg.DagsterRunStatus.SUCCESS],
            tags={_PARTITION: partition} if partition else None,
            created_after=record.create_timestamp,
        )
        if not instance.get_runs_count(later):
            yield failed_run(instance, run)


def _late_runs(instance: dg.DagsterInstance, policy: AlertPolicy, now: datetime) -> Iterator[Signal]:
    for statuses, threshold, doing in (
        ([dg.DagsterRunStatus.STARTED], "at_work_min", "at work"),
        (_WAITS, "queued_min", "waiting to start"),
    ):
        minutes = policy.threshold("run_late", threshold)
        for record in instance.get_run_records(dg.RunsFilter(statuses=statuses), limit=_RECORDS_MAX):
            since = (
                datetime.fromtimestamp(record.start_time, now.tzinfo) if record.start_time else record.create_timestamp
            )
            if now - since >= timedelta(minutes=minutes):
                run = record.dagster_run
                example = f"{doing} for more than {minutes} minutes (run {run.run_id[:8]})"
                yield Signal("run_late", _subject(run), example=example, month=_month(run))


def _failing_ticks(instance: dg.DagsterInstance, ticks: int) -> Iterator[Signal]:
    """Schedules and sensors whose newest ticks failed, all of them."""
    for state in instance.all_instigator_state():
        newest = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=ticks)
        if state.is_running and len(newest) == ticks and all(tick.status.value == "FAILURE" for tick in newest):
            error = newest[0].error
            why = error.message.strip().splitlines()[0] if error is not None and error.message.strip() else "no reason"
            yield Signal("tick_failed", state.instigator_name, ticks, why)


def _subject(run: dg.DagsterRun) -> str:
    month = _month(run)
    return f"{run.job_name} {month:%Y-%m}" if month else run.job_name


def _month(run: dg.DagsterRun) -> date | None:
    partition = run.tags.get(_PARTITION)
    return date.fromisoformat(partition) if partition else None
