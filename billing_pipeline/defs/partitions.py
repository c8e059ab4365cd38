"""The months that can be billed, and how an asset of a month is declared."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime

import dagster as dg

from billing_pipeline.defs.stages import OWNERS
from billing_pipeline.invoicing.first_month import kept_first_month
from billing_pipeline.settings import Settings, SettingsError, load_settings

LONG_AGO = date(2020, 1, 1)
"""Where the months begin as long as nobody knows of any usage."""

ONE_MONTH_A_RUN = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


def first_partition(settings: Settings, today: date) -> date:
    """BILLING_FIRST_MONTH; else the month that the state folder remembers of the database; else LONG_AGO.

    Asks no database: the code location loads without one.

    Raises:
        SettingsError: BILLING_FIRST_MONTH lies ahead: there would be no month to bill.
    """
    wanted = settings.invoicing.first_month
    if wanted is not None and wanted > today:
        raise SettingsError(f"BILLING_FIRST_MONTH='{wanted:%Y-%m}': expected this month or one before it")
    return wanted or kept_first_month(settings.state_dir) or LONG_AGO


MONTHS = dg.MonthlyPartitionsDefinition(
    start_date=first_partition(load_settings(), datetime.now(UTC).date()).isoformat(), end_offset=1
)
"""A month bills every period whose last instant lies in it. The running month exists too and bills what has ended."""


def monthly_asset(
    *,
    group: str,
    deps: Sequence[str],
    kinds: set[str],
    checks: Iterable[dg.AssetCheckSpec] = (),
) -> Callable[[Callable[..., object]], dg.AssetsDefinition]:
    """Declare the function as an asset with a partition a month, which a backfill materialises a month a run."""
    return dg.asset(
        partitions_def=MONTHS,
        backfill_policy=ONE_MONTH_A_RUN,
        deps=list(deps),
        group_name=group,
        owners=OWNERS,
        kinds=kinds,
        check_specs=list(checks),
    )


def month_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> date:
    """The month that the run materialises."""
    return date.fromisoformat(context.partition_key)
