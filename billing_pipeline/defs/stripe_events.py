"""Asset `stripe_events`: what Stripe told us is applied. The sensor rings, the queue is in Postgres."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import dagster as dg

from billing_pipeline.defs.metadata import sample_table, table_metadata
from billing_pipeline.defs.platform import GROUP, OWNERS
from billing_pipeline.defs.resources import Billing, Stripe
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.conflicts import contradictions
from billing_pipeline.events.processing import process_events
from billing_pipeline.events.queue import DueWork, due_work
from billing_pipeline.settings import load_settings
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

RUNS_AT_ONCE = 2
"""More would only wait for Stripe together, and keep other jobs out of the queue."""

SAMPLE = 20
_SHARE_FOR_CLAIMING = 0.5
"""Of a lease: the rest is for the last batch."""

START_WITHIN_S = 60.0
"""A run that takes longer to start is taken for dead. One that was only slow does no harm beside another."""

MAX_RUNTIME_TAG = "dagster/max_runtime"
"""https://docs.dagster.io/deployment/execution/run-monitoring#general-run-timeouts"""

_STARTING = {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING}
_AT_WORK = {dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING}


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"python", "postgres", "stripe"})
def stripe_events(context: dg.AssetExecutionContext, billing: Billing, stripe: Stripe) -> dg.MaterializeResult:
    """Process the events of Stripe's that are due: ask for each object once and apply what it says, forward only.

    Running it twice, or two at a time, changes nothing more. What cannot be applied is tried again later, and in the
    end given up with its error, which the check shows.
    """
    warehouse = billing.warehouse
    lease_s = billing.settings.events.lease_s
    try:
        done = process_events(
            warehouse,
            stripe.gateway(),
            lambda: EventCipher(billing.settings.events.keys),
            context.run.run_id,
            log=context.log.info,
            longest_s=lease_s * _SHARE_FOR_CLAIMING,
            lease_s=lease_s,
        )
    except StripeFailure as failure:
        raise dg.Failure(description=f"Stripe: {failure}", allow_retries=False) from failure
    count = int(warehouse.scalar("SELECT count(*) FROM billing.stripe_events"))
    return dg.MaterializeResult(
        metadata={
            **table_metadata(warehouse, "stripe_events", count),
            **{outcome.replace(", ", "_").replace(" ", "_"): n for outcome, n in done.outcomes.items()},
            "objects_retrieved": done.objects,
            "seconds": round(done.seconds, 1),
        }
    )


@dg.asset_check(
    asset=stripe_events, description="No event of Stripe's was given up. Replay them: billing events replay."
)
def no_event_given_up(billing: Billing) -> dg.AssetCheckResult:
    """Dead letters: each is an alarm until somebody replays it."""
    rows = billing.warehouse.rows(_GIVEN_UP)
    return _none(rows, int(rows[0]["in_all"]) if rows else 0, "event(s) given up")


@dg.asset_check(
    asset=stripe_events,
    description="No two events of one id say different things. Looked at: billing events acknowledge.",
)
def no_contradicting_event(billing: Billing) -> dg.AssetCheckResult:
    """Copies that were kept aside because an event of that id, saying something else, had come before."""
    rows = contradictions(billing.warehouse)
    return _none(rows, len(rows), "contradicting event(s)")


def _none(rows: Sequence[Mapping[str, object]], count: int, what: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not rows,
        description=f"{count:,} {what}, such as {rows[0]['event_id']}" if rows else None,
        metadata={
            "failing_rows": count,
            **({"sample": sample_table([_shown(row) for row in rows[:SAMPLE]])} if rows else {}),
        },
    )


def _shown(row: Mapping[str, object]) -> dict[str, object]:
    return {name: str(value) for name, value in row.items() if name != "in_all"}


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
    description="Rings when events of Stripe's are due.",
)
def stripe_events_due(context: dg.SensorEvaluationContext, billing: Billing) -> dg.SensorResult | dg.SkipReason:
    """Ask Postgres. Nothing is remembered here: an event is due until a run has claimed it."""
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


_GIVEN_UP = """
SELECT count(*) OVER () AS in_all, w.event_id, e.type, e.object_id, w.last_error, e.received_at
FROM billing.stripe_event_work AS w JOIN billing.stripe_events AS e USING (event_id)
WHERE w.state = 'dead' ORDER BY e.received_at DESC LIMIT 20
"""
