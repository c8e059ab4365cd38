"""`billing run`: a month's jobs in this process, or its shadow beside the books. `billing months`: where each is."""

import getpass
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, THE_MONTH, Instant
from billing_pipeline.cli.reports import Reports, report_options
from billing_pipeline.core.months import require_billable
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.postgres.warehouse import Warehouse


@click.group(cls=Group)
def months() -> None:
    """Say where each month stands."""


@months.command(name="list")
@JSON
def list_command(as_json: bool) -> None:
    """List the months that have ended: billed, charged, or what is missing."""
    from billing_pipeline.books.months import month_states
    from billing_pipeline.cli.output import print_rows

    rows = [asdict(month) for month in month_states(open_database(), datetime.now(UTC))]
    print_rows("months", rows, as_json=as_json, empty="no month has been billed")


@click.command()
@THE_MONTH
@click.option("--customer", metavar="ID", help="Draft this customer alone, whose month is drafted. Charges nobody.")
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
@JSON
def run(
    month: date,
    customer: str | None,
    through: str,
    carry_forward: bool,
    as_of: datetime | None,
    author: str | None,
    charge_old_month: bool,
    shadow: bool,
    price_book: Path | None,
    code: str | None,
    as_json: bool,
    **reports: Any,
) -> None:
    """Run the Dagster jobs of a month in this process, and say what came of it.

    Exit status 0: all well; 1: a run failed; 3: done, but something waits for a person: charges that are refused or
    parked, invoices that are held back, usage in quarantine.

    With --customer one customer's drafts of a month that is drafted are built anew, from all usage that has come by
    now: the others' stay as they are, and so does what is final. The gates of the month are asked again.

    With --shadow nothing is run or written: the month is built in scratch tables, from all usage and today's
    prices or those of another price book, by this code or another version of it, and compared with the
    books line by line.
    """
    chosen = click.get_current_context().get_parameter_source("through") is not click.core.ParameterSource.DEFAULT
    if customer is not None and (shadow or (chosen and through != "invoices")):
        raise click.UsageError("--customer drafts through invoices: leave --shadow and other assets out")
    if shadow:
        from billing_pipeline.cli.comparison import run_shadow

        run_shadow(month, price_book, code, carry_forward, as_of, Reports(**reports), as_json=as_json)
        return
    if (price_book, code) != (None, None) or Reports(**reports) != Reports():
        raise click.UsageError("--price-book, --code and the options of the comparison go with --shadow")
    if customer is not None and charge_old_month:
        raise click.UsageError("--customer drafts and charges nobody: leave --charge-old-month out")
    settings = load_settings()
    require_billable(month, datetime.now(UTC).date())
    warehouse = _with_the_book_meant(settings.pricing.price_book)
    from billing_pipeline.cli.month_runs import end_run, run_jobs, run_one_customer

    reading = {"carry_forward": carry_forward, "as_of": as_of.isoformat() if as_of else None}
    started_by = author or getpass.getuser()
    if customer is not None:
        run_one_customer(warehouse, month, customer, started_by=started_by, as_json=as_json, **reading)
        return
    outcomes = run_jobs(
        warehouse,
        settings,
        month,
        through,
        started_by=started_by,
        charge_old_month=charge_old_month,
        **reading,
    )
    end_run(warehouse, month, outcomes, as_json=as_json)


def _with_the_book_meant(named: Path | None) -> "Warehouse":
    """The database, if its price book is the one that is meant: said at once, as Dagster takes seconds to load."""
    if named is None:
        return open_database()
    from billing_pipeline.pricing.book_file import read_book_file

    read_book_file(named)
    from billing_pipeline.pricing.loading import loaded_book, require_named_book

    warehouse = open_database()
    require_named_book(loaded_book(warehouse), named)
    return warehouse
