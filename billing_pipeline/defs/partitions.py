"""The monthly partitions."""

from datetime import date

import dagster as dg

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2020-01-01", end_offset=1)
"""A month bills every period whose last instant lies in it. The running month exists too and bills what has ended."""

ONE_MONTH_A_RUN = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


def month_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> date:
    """The month that the run materialises."""
    return date.fromisoformat(context.partition_key)
