"""Job `bill_customer`: the drafts of one customer and month anew, then the gates of the month."""

from collections.abc import Iterator
from datetime import date, datetime

import dagster as dg

from billing_pipeline.core.errors import UserError
from billing_pipeline.defs.checks import describe, evaluation_of
from billing_pipeline.defs.failures import explained
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.resources import Billing
from billing_pipeline.gates.data_quality import gate_parameters, run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.invoicing.customer_drafts import DraftedCustomer, Reading, draft_customer
from billing_pipeline.invoicing.rules.adjustments import oldest_charged

BUILT = ("usage_snapshots", "invoice_line_items", "invoices")
"""The assets of which a customer's rows are built, in their order."""


class CustomerConfig(dg.Config):
    """Whose drafts, and what an operator may say about the usage."""

    customer: str
    """The customer's id."""
    carry_forward: bool = False
    """Release the customer, if the feed is incomplete: what it does not cover is billed as in the period before."""
    as_of: str | None = None
    """Count only events received until this ISO instant; unset: now."""


@dg.op(
    description="Draft one customer's month anew: periods, usage, lines and drafts, all of them or nothing. Then ask"
    " the gates of the month.",
    out=dg.Out(dg.Nothing),
)
def draft_one_customer(
    context: dg.OpExecutionContext, config: CustomerConfig, billing: Billing
) -> Iterator[dg.AssetObservation | dg.AssetCheckEvaluation | dg.Output[None]]:
    """The customer's rows in one transaction; then every gate of the month, which is of all its customers' rows.

    Raises:
        dagster.Failure: it was refused; or it is drafted, and a gate that the month needs has not passed.
    """
    month = date.fromisoformat(context.partition_key)
    with explained(ValueError, what="config of draft_one_customer, as_of"):
        as_of = datetime.fromisoformat(config.as_of) if config.as_of else None
    with explained(UserError):
        drafted = draft_customer(
            billing.warehouse,
            month,
            config.customer,
            context.run.run_id,
            billing.clock(),
            oldest=oldest_charged(billing.clock().date(), billing.settings.charging.charge_age_max_days),
            reading=Reading(as_of=as_of, carry_forward=config.carry_forward),
        )
    yield from _observed(context, config.customer, drafted)
    unmet = 0
    parameters = gate_parameters(billing.settings)
    for asset in BUILT:
        for result in run_gates(billing.warehouse, gates_of(asset), month, context.run.run_id, parameters):
            if not result.passed:
                context.log.warning(describe(result))
                unmet += result.gate.blocking
            yield evaluation_of(result, month, context.partition_key)
    if unmet:
        raise dg.Failure(
            description=f"customer {config.customer} is drafted; {month:%Y-%m} is not charged before {unmet} gate(s) of"
            " all its customers' rows pass",
            allow_retries=False,
        )
    yield dg.Output(None)


def _observed(context: dg.OpExecutionContext, customer: str, drafted: DraftedCustomer) -> Iterator[dg.AssetObservation]:
    """What was done to the customer's rows; not materialized, as the month's other rows are as old as they were."""
    for asset in BUILT:
        built = getattr(drafted, asset)
        figures = {"rows": built.row_count, "inserted": built.inserted, "deleted": built.deleted}
        yield dg.AssetObservation(asset, partition=context.partition_key, metadata={"customer": customer, **figures})


@dg.job(
    partitions_def=MONTHS,
    description="One customer's drafts of a month that is drafted, from all usage that has come. The others' stay as"
    " they are, final invoices too. Safe to run again at any time.",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "2"},
)
def bill_customer() -> None:
    """The job that `billing run --customer` and POST /process-monthly start."""
    draft_one_customer()


@dg.definitions
def customer_drafts() -> dg.Definitions:
    """The job."""
    return dg.Definitions(jobs=[bill_customer])
