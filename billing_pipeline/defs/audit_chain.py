"""Job `seal_audit_chain`: what changed since the last time is sealed, in order."""

import dagster as dg

from billing_pipeline.books.audit_chain import seal
from billing_pipeline.defs.resources import Billing


@dg.op(description="Seal the entries of the audit chain that are not sealed yet.")
def seal_entries(context: dg.OpExecutionContext, billing: Billing) -> None:
    """One pass; several at once wait for each other."""
    context.add_output_metadata({"entries_sealed": seal(billing.warehouse)})


@dg.job(
    description="Seals the audit chain; `billing audit verify` checks it. Running it at any time does no harm.",
    executor_def=dg.in_process_executor,
)
def seal_audit_chain() -> None:
    """The job that its schedule asks for, hourly."""
    seal_entries()


@dg.definitions
def audit_chain() -> dg.Definitions:
    """The job; its schedule is in schedules.py."""
    return dg.Definitions(jobs=[seal_audit_chain])
