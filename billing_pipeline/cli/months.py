"""`billing run`: a month's jobs in this process, or its shadow beside the books."""

import getpass
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from billing_pipeline.cli.common import Instant, Month, open_database
from billing_pipeline.cli.reports import Reports, report_options
from billing_pipeline.settings import load_settings


@click.command()
@click.option("--month", type=Month(), required=True, help="The month to bill, such as 2026-10.")
@click.option(
    "--through",
    type=click.Choice(["usage_snapshots", "invoice_line_items", "invoices", "stripe_charges"]),
    default="stripe_charges",
    show_default=True,
    help="Stop after this asset. stripe_charges finalises the invoices and charges them.",
)
@click.option("--carry-forward", is_flag=True, help="Release a month whose usage feed is incomplete.")
@click.option("--as-of", type=Instant(), help="Count only events received until then.")
@click.option("--author", help="Who starts the run, and so does not approve it. Default: the user of this machine.")
@click.option("--charge-old-month", is_flag=True, help="Charge a month that ended long ago.")
@click.option("--shadow", is_flag=True, help="Build the month beside the books, write nothing, print what differs.")
@click.option("--price-book", type=click.Path(path_type=Path), help="With --shadow: this price book file.")
@click.option("--code", metavar="REV_OR_PATH", help="With --shadow: built by a git revision or another checkout.")
@report_options
def run(
    month: date,
    through: str,
    carry_forward: bool,
    as_of: datetime | None,
    author: str | None,
    charge_old_month: bool,
    shadow: bool,
    price_book: Path | None,
    code: str | None,
    **reports: Any,
) -> None:
    """Run the Dagster jobs of a month in this process. Exit status 1 if a run failed.

    With --shadow nothing is run or written: the month is built in scratch tables, from all usage and today's
    prices or those of another price book, by this code or another version of it, and compared with the
    books line by line.
    """
    if shadow:
        from billing_pipeline.cli.comparison import run_shadow

        run_shadow(month, price_book, code, carry_forward, as_of, Reports(**reports))
        return
    if (price_book, code) != (None, None) or Reports(**reports) != Reports():
        raise click.UsageError("--price-book, --code and the options of the comparison go with --shadow")
    from billing_pipeline.defs.running import STARTED_BY, RunOutcome, dagster_instance, run_month
    from billing_pipeline.stripe_gateway.local_emulator import stripe_for

    warehouse = open_database()
    url = warehouse.dagster_url.render_as_string(hide_password=False)
    with stripe_for(load_settings(), needed=through == "stripe_charges"), dagster_instance(url) as instance:
        outcomes: list[RunOutcome] = run_month(
            instance,
            month,
            through,
            carry_forward=carry_forward,
            as_of=as_of.isoformat() if as_of else None,
            tags={STARTED_BY: author or getpass.getuser()},
            charge_old_month=charge_old_month,
        )
    for outcome in outcomes:
        report_run(outcome)
    if not all(outcome.success and not outcome.failed_checks for outcome in outcomes):
        sys.exit(1)


def report_run(outcome: Any) -> None:
    """Print how a run ended: figures to stdout, what went wrong to stderr."""
    click.echo(f"{outcome.job}: {'passed' if outcome.success else 'FAILED'}  (run {outcome.run_id})")
    for asset, metadata in outcome.metadata.items():
        figures = [f"{metadata['dagster/row_count']} rows"] if "dagster/row_count" in metadata else []
        figures += [str(value) for name, value in metadata.items() if name.startswith("total_")]
        click.echo(f"  {asset}: {', '.join(figures)}")
    for line in outcome.warnings:
        click.echo(f"  warning: {line}")
    for line in [*outcome.failed_checks, *outcome.errors]:
        click.echo(f"Error: {line}", err=True)
