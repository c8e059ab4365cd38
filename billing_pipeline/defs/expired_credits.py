"""Job `expire_credits`: what is left of prepaid credits whose last day is over is booked, whatever is finalised."""

import dagster as dg

from billing_pipeline.core.signature import Signature
from billing_pipeline.defs.resources import Billing
from billing_pipeline.invoicing.credits import expire_credits as book_expired

_BY = Signature("billing-pipeline", "its last day is over")


@dg.op(description="Book what is left of grants whose last day is over, in each customer's time zone.")
def book_expired_credits(context: dg.OpExecutionContext, billing: Billing) -> None:
    """One pass; several at once wait for each other."""
    context.add_output_metadata({"grants_expired": book_expired(billing.warehouse, _BY)})


@dg.job(
    description="Books prepaid credits that expired. Running it at any time, or twice at once, does no harm.",
    executor_def=dg.in_process_executor,
)
def expire_credits() -> None:
    """The job that its schedule asks for, daily."""
    book_expired_credits()


@dg.definitions
def expired_credits() -> dg.Definitions:
    """The job; its schedule is in schedules.py."""
    return dg.Definitions(jobs=[expire_credits])
