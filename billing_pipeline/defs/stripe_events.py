"""Asset `stripe_events`: what Stripe told us is applied. The sensor rings, the queue is in Postgres."""

from datetime import datetime
from typing import Any

import dagster as dg

from billing_pipeline.defs.failures import stripe_explained
from billing_pipeline.defs.metadata import markdown_table, sample_table, table_metadata
from billing_pipeline.defs.remedies import described, what_to_do
from billing_pipeline.defs.resources import Billing, Stripe, no_stripe
from billing_pipeline.defs.stages import EVENTS, OWNERS
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.conflicts import contradictions
from billing_pipeline.events.processed import given_up, processed, processed_by_type
from billing_pipeline.events.processing import ProcessingOptions, process_events
from billing_pipeline.events.queue import DueWork, due_work
from billing_pipeline.settings import load_settings

RUNS_AT_ONCE = 2
"""More would only wait for Stripe together, and keep other jobs out of the queue."""

GIVEN_UP = "no_event_given_up"
CONTRADICTING = "no_contradicting_event"
SAMPLE = 20
"""Events that an operator is shown."""
_SHARE_FOR_CLAIMING = 0.5
"""Of a lease: the rest is for the last batch."""

START_WITHIN_S = 60.0
"""A run that takes longer to start is taken for dead. One that was only slow does no harm beside another."""

MAX_RUNTIME_TAG = "dagster/max_runtime"
"""Dagster ends a run with this tag after so many seconds. Its constant is private, so the name stands here:
https://docs.dagster.io/deployment/execution/run-monitoring#general-run-timeouts"""

_STARTING = {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING}
_AT_WORK = {dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING}


@dg.asset(group_name=EVENTS, owners=OWNERS, kinds={"python", "postgres", "stripe"})
def stripe_events(context: dg.AssetExecutionContext, billing: Billing, stripe: Stripe) -> dg.MaterializeResult:
    """What Stripe told us, applied: each object is asked for as it is now, and steps only go forward.

    A sensor runs it when events are due; running it at any time does no harm. `by_type` says what a run did. What
    cannot be applied is tried again later, and in the end given up with its error, which the check shows.
    """
    warehouse = billing.warehouse
    run_id, lease_s = context.run.run_id, billing.settings.events.lease_s
    with stripe_explained():
        done = process_events(
            warehouse,
            stripe.gateway(),
            lambda: EventCipher(billing.settings.events.keys),
            run_id,
            ProcessingOptions(log=context.log.info, longest_s=lease_s * _SHARE_FOR_CLAIMING, lease_s=lease_s),
        )
    count = int(warehouse.scalar("SELECT count(*) FROM billing.stripe_events"))
    return dg.MaterializeResult(
        metadata={
            **table_metadata(warehouse, "stripe_events", count),
            **{outcome.replace(", ", "_").replace(" ", "_"): n for outcome, n in done.outcomes.items()},
            "by_type": markdown_table(processed_by_type(warehouse, run_id)),
            "last_processed": sample_table(_shown(processed(warehouse, run_id, SAMPLE))),
            "objects_retrieved": done.objects,
            "seconds": round(done.seconds, 1),
        }
    )


@dg.asset_check(asset=stripe_events, description=described(GIVEN_UP, "No event of Stripe's was given up."))
def no_event_given_up(billing: Billing) -> dg.AssetCheckResult:
    """Dead letters: each is an alarm until somebody replays it."""
    count, rows = given_up(billing.warehouse, SAMPLE)
    return _none(GIVEN_UP, rows, count, "event(s) given up")


@dg.asset_check(
    asset=stripe_events, description=described(CONTRADICTING, "No two events of one id say different things.")
)
def no_contradicting_event(billing: Billing) -> dg.AssetCheckResult:
    """Copies that were kept aside because an event of that id, saying something else, had come before."""
    rows = contradictions(billing.warehouse)
    return _none(CONTRADICTING, rows[:SAMPLE], len(rows), "contradicting event(s)")


def _none(name: str, rows: list[dict[str, Any]], count: int, what: str) -> dg.AssetCheckResult:
    if not rows:
        return dg.AssetCheckResult(passed=True, metadata={"failing_rows": 0})
    return dg.AssetCheckResult(
        passed=False,
        description=f"{count:,} {what}, such as {rows[0]['event_id']}",
        metadata={"failing_rows": count, **what_to_do(name), "sample": sample_table(_shown(rows))},
    )


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


process_stripe_events = dg.define_asset_job(
    "process_stripe_events",
    selection=dg.AssetSelection.assets(stripe_events),
    description="Apply what Stripe's events say. Started by the sensor when something is due.",
    executor_def=dg.in_process_executor,
    # where worker and code server died together nobody else ends the run, and a few such would silence the sensor
    tags={MAX_RUNTIME_TAG: str(load_settings().events.lease_s)},
)


def run_key(work: DueWork, last_run_id: str | None) -> str:
    """One run for the oldest due event, its attempt, and the newest run that there was before.

    The attempt: a run that died with its claims does not use up the key of the next. The run before: neither does one
    that died before it claimed anything.
    """
    return f"{work.event_id}:{work.attempts}:{last_run_id or 'first'}"


@dg.sensor(
    job=process_stripe_events,
    minimum_interval_seconds=load_settings().events.interval_s,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run when events of Stripe's are due. Skips where no Stripe is configured.",
)
def stripe_events_due(context: dg.SensorEvaluationContext, billing: Billing) -> dg.SensorResult | dg.SkipReason:
    """Ask Postgres. Nothing is remembered here: an event is due until a run has claimed it."""
    unasked = no_stripe(billing.settings)
    if unasked is not None:
        return unasked
    now = billing.clock()
    work = due_work(billing.warehouse, now)
    if work is None:
        return dg.SkipReason("no event is due")
    newest = context.instance.get_run_records(dg.RunsFilter(job_name=process_stripe_events.name), limit=1)
    in_progress = context.instance.get_run_records(
        dg.RunsFilter(job_name=process_stripe_events.name, statuses=[dg.DagsterRunStatus.QUEUED, *_STARTING, *_AT_WORK])
    )
    alive = [run for run in in_progress if _is_alive(run, now, billing.settings.events.lease_s)]
    if any(run.dagster_run.status not in _AT_WORK for run in alive):
        return dg.SkipReason(f"{work.count:,} events are due, and a run is about to start")
    if len(alive) >= RUNS_AT_ONCE:
        return dg.SkipReason(f"{work.count:,} events are due, and {len(alive)} runs are at work")
    last_run_id = newest[0].dagster_run.run_id if newest else None
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key(work, last_run_id))])


def _is_alive(run: dg.RunRecord, now: datetime, lease_s: int) -> bool:
    """Whether a run in progress may still do something: nobody tells of one whose process died with its launcher."""
    unchanged_s = (now - run.update_timestamp).total_seconds()
    if run.dagster_run.status in _STARTING:
        return unchanged_s < START_WITHIN_S
    if run.dagster_run.status in _AT_WORK:
        return unchanged_s < lease_s + START_WITHIN_S
    return True  # it waits its turn in the queue, where others would only wait behind it
