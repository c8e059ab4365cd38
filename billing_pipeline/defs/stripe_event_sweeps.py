"""Asset `stripe_event_sweeps`: Stripe's own list of events is searched for those that never arrived."""

import dagster as dg

from billing_pipeline.defs.failures import stripe_explained
from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.remedies import check, what_to_do
from billing_pipeline.defs.resources import Billing, Stripe
from billing_pipeline.defs.stages import EVENTS, OWNERS
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.sweep import sweep_events

COMPLETE = "no_gap"


@dg.asset(
    group_name=EVENTS,
    owners=OWNERS,
    kinds={"python", "postgres", "stripe"},
    check_specs=[
        check(
            COMPLETE,
            "The last sweep is not so long ago that Stripe has forgotten events since.",
            asset="stripe_event_sweeps",
        )
    ],
)
def stripe_event_sweeps(context: dg.AssetExecutionContext, billing: Billing, stripe: Stripe) -> dg.MaterializeResult:
    """What Stripe's own list of events has and nobody has sent us: it is stored here and processed like any other.

    Looks back to an hour before the last sweep. Running it at any time does no harm.
    """
    warehouse = billing.warehouse
    with stripe_explained():
        swept = sweep_events(
            warehouse,
            stripe.gateway(),
            EventCipher(billing.settings.events.keys),
            context.run.run_id,
            billing.clock(),
            log=context.log.info,
        )
    count = int(warehouse.scalar("SELECT count(*) FROM billing.stripe_event_sweeps"))
    return dg.MaterializeResult(
        metadata={
            **table_metadata(warehouse, "stripe_event_sweeps", count),
            "listed_from": swept.listed_from.isoformat(),
            "listed": swept.listed_count,
            "new": swept.new_count,
            "contradicting": swept.conflict_count,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=COMPLETE,
                passed=not swept.gap,
                description=f"events before {swept.listed_from:%Y-%m-%d %H:%M} may be lost" if swept.gap else None,
                metadata=what_to_do(COMPLETE) if swept.gap else {},
            )
        ],
    )


sweep_stripe_events = dg.define_asset_job(
    "sweep_stripe_events",
    selection=dg.AssetSelection.assets(stripe_event_sweeps),
    description="Fetch the events that Stripe lists and the receiver missed.",
    executor_def=dg.in_process_executor,
)
