"""`billing simulate`: a usage file priced by a book, without storing anything."""

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.options import JSON, Month
from billing_pipeline.cli.output import print_json
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.timezones import is_timezone

if TYPE_CHECKING:
    from billing_pipeline.comparison.rules.simulated_bill import SimulatedBill
    from billing_pipeline.pricing.rules.price_book import PriceBook

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--usage", type=_FILE, required=True, help="The usage file: CSV, JSON Lines or Parquet.")
@click.option("--plan", help="Plan of the price book. Default: the prices that hold for all.")
@click.option("--book", type=_FILE, help="The price book file, which needs no database. Default: the loaded one.")
@click.option("--month", type=Month(), help="The calendar month. Default: that of the file's last event.")
@click.option("--timezone", default="UTC", show_default=True, help="In which the month begins and ends.")
@click.option("--currency", help="Which book, where there are several: usd.")
@JSON
def simulate(
    usage: Path,
    plan: str | None,
    book: Path | None,
    month: date | None,
    timezone: str,
    currency: str | None,
    as_json: bool,
) -> None:
    """Price a usage file as a run would, without storing anything: what each of its customers would pay for a month."""
    from billing_pipeline.comparison.simulate import simulate as simulated

    if not is_timezone(timezone):
        raise UserError(f'--timezone "{timezone}": expected a time zone of the IANA database such as Europe/Berlin')
    bills = simulated(_book(book, currency), usage, plan=plan, month=month, timezone=timezone)
    if as_json:
        print_json({"bills": [asdict(bill) for bill in bills]})
        return
    for bill in bills:
        click.echo(f"customer {bill.customer_id}" + (f", plan {bill.plan}" if bill.plan else ""))
        show_bill(bill)


def show_bill(bill: "SimulatedBill") -> None:
    """Print the lines, what would be set aside, and the total."""
    amounts = [format_minor(line.amount_minor, bill.currency) for line in bill.lines]
    total = format_minor(bill.total_minor, bill.currency)
    width = max(len(text) for text in [*amounts, total])
    for line, amount in zip(bill.lines, amounts, strict=True):
        click.echo(f"  {amount:>{width}}  {line.description}")
    for one in bill.set_aside:
        click.echo(f"  {'set aside':>{width}}  {one.meter} {one.dimensions}: {one.reason}")
    click.echo(f"  {total:>{width}}  total")


def _book(path: Path | None, currency: str | None) -> "PriceBook":
    from billing_pipeline.pricing.book_file import read_book_file
    from billing_pipeline.pricing.loading import loaded_book

    if path is not None:
        books = read_book_file(path).books
    else:
        loaded = loaded_book(open_database())
        books = loaded.books if loaded else ()
    wanted = [book for book in books if currency is None or book.currency == currency.lower()]
    if len(wanted) != 1:
        known = ", ".join(book.currency for book in books) or "none is loaded; name one by --book"
        raise UserError(f"expected one price book: add --currency, one of {known}")
    return wanted[0]
