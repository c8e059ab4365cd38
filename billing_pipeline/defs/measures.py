"""When what pages show of revenue and usage is worked out again: daily, and once invoices are final."""

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from billing_pipeline.books.stored_measures import work_out_all
from billing_pipeline.defs.resources import Billing
from billing_pipeline.postgres.warehouse import Warehouse


@dg.op(description="Work out again what pages show of revenue and usage, where there are very many rows.")
def work_out_measures(context: dg.OpExecutionContext, billing: Billing) -> None:
    """Each measure as its view has it now."""
    context.add_output_metadata(
        {"measures": ", ".join(work_out_all(billing.warehouse)) or "none: pages show the views"}
    )


def work_out_after_charging(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """The same, at the end of a run that made invoices final: a part of the time that charging as many takes.

    A run that only tries charges again leaves it to the daily job. What goes wrong is a warning: no run fails of it.
    """
    try:
        work_out_all(warehouse)
    except SQLAlchemyError as error:
        context.log.warning(f"what pages show of revenue is not worked out again: {error}")
