"""Asset `stripe_event_sweeps`: Stripe's own list of events is searched for those that never arrived."""

import dagster as dg

from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.platform import GROUP, OWNERS
from billing_pipeline.defs.resources import Billing, Stripe
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.sweep import sweep_events
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

COMPLETE = "no_gap"


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "postgres", "stripe"},
    check_specs=[
        dg.AssetCheckSpec(
            COMPLETE,
            asset="stripe_event_sweeps",
            description="The last sweep is not so long ago that Stripe has forgotten events since.",
        )
    ],
)
def stripe_event_sweeps(context: dg.AssetExecutionContext, billing: Billing, stripe: Stripe) -> dg.MaterializeResult:
    """List Stripe's events since the last sweep, with an hour of overlap, and store those that the receiver missed."""
    warehouse = billing.warehouse
    try:
        swept = sweep_events(
            warehouse,
            stripe.gateway(),
            EventCipher(billing.settings.events.keys),
            context.run.run_id,
            billing.clock(),
            log=context.log.info,
        )
    except StripeFailure as failure:
        raise dg.Failure(description=f"Stripe: {failure}", allow_retries=False) from failure
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
            )
        ],
    )


sweep_stripe_events = dg.define_asset_job(
    "sweep_stripe_events",
    selection=dg.AssetSelection.assets(stripe_event_sweeps),
    description="Fetch the events that Stripe lists and the receiver missed.",
    executor_def=dg.in_process_executor,
)
