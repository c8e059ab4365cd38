"""`billing prices`: a price book before it is used, its load, and the one that is in use."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import CUSTOMER, FILE, JSON, signed
from billing_pipeline.cli.output import instant, print_json, table
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature

if TYPE_CHECKING:
    from billing_pipeline.pricing.rules.price_book import PriceBook

_SHOWN = ("currency", "version_id", "customer_id", "plan", "meter", "dimensions", "model", "tier_from", "tier_up_to",
          "unit_amount", "package_size", "included", "minimum", "maximum")  # fmt: skip


@click.group(cls=Group)
def prices() -> None:
    """Check a price book file, load it, and show the prices in use."""


@prices.command()
@FILE
@JSON
def check(file: Path, as_json: bool) -> None:
    """Check the price book FILE and say in words, and by sample bills, what it charges. Needs no database.

    Exit status 1 if it is wrong.
    """
    from billing_pipeline.pricing.book_file import BookFileError, read_book_file
    from billing_pipeline.pricing.rules.price_book_words import words_of

    try:
        books = read_book_file(file).books
    except BookFileError as error:
        if as_json:
            print_json({"file": str(file), "valid": False, "problems": list(error.problems), "books": []})
        for problem in error.problems:
            click.echo(f"Error: {problem}", err=True)
        sys.exit(1)
    if as_json:
        print_json({"file": str(file), "valid": True, "problems": [], "books": [_book(book) for book in books]})
        return
    from billing_pipeline.cli.simulate import show_bill
    from billing_pipeline.comparison.rules.simulated_bill import sample_bills

    for book in books:
        for line in words_of(book):
            click.echo(line)
        for bill in sample_bills(book):
            on_plan = f" on plan {bill.plan}" if bill.plan else ""
            click.echo(f"a sample bill{on_plan}, by the last version, of quantities that show its prices")
            show_bill(bill)
    click.echo(f"{file.name} is right; nothing was loaded")


@prices.command()
@FILE
@signed
@click.option("--yes", is_flag=True, help="Load without asking; needed where nobody can be asked.")
@click.option("--replace", is_flag=True, help="It may take away a currency, a book or customers' own prices.")
@JSON
def load(file: Path, signature: Signature, *, yes: bool, replace: bool, as_json: bool) -> None:
    """Show what the price book FILE changes against the loaded one, then load it: runs are priced by it from now on."""
    from billing_pipeline.pricing.loading import load_prices, plan_load

    warehouse = open_database()
    plan = plan_load(warehouse, file)
    changes = [{name: getattr(change, name) for name in change.__slots__} for change in plan.changes]
    if not as_json:
        table(
            [{_NAMES.get(name, name): value for name, value in change.items()} for change in changes],
            "nothing that is charged changes",
        )
    if not yes and (not plan.losses or replace):
        _ask(file)
    loaded = load_prices(warehouse, plan, signature, replace=replace)
    figures = {"in_use": loaded.in_use, "added": loaded.added, "retired": loaded.retired}
    if as_json:
        print_json({"file": file.name, "changes": changes, **figures})
        return
    click.echo(f"{file.name} is loaded: {loaded.in_use} prices in use, {loaded.added} new, {loaded.retired} retired")
    if plan.after and changes:
        click.echo("Months that are billed keep what they billed. Draft the others again: billing run --month …")


def _ask(file: Path) -> None:
    """Go on only if somebody says yes."""
    if not sys.stdin.isatty():
        raise UserError(f"{file.name}: nothing was loaded; add --yes")
    if not click.confirm(f"Load {file.name}?", err=True):
        raise UserError(f"{file.name}: nothing was loaded")


@prices.command()
@click.option("--currency", help="Only the book in this currency, such as usd.")
@CUSTOMER
@JSON
def show(currency: str | None, customer: str | None, as_json: bool) -> None:
    """Show the prices in use: what the next run bills with."""
    from billing_pipeline.pricing.reading import prices_loaded

    loaded = prices_loaded(open_database(), currency=currency and currency.lower(), customer_id=customer)
    if as_json:
        print_json({"books": loaded.books, "meters": loaded.meters, "prices": loaded.prices, "terms": loaded.terms})
        return
    for book in loaded.books:
        click.echo(f"{book['name']} ({book['currency']}), loaded {instant(book['loaded_at'])}")
    # the currency is a column here, not that of an amount beside it
    table([{_NAMES.get(name, name): row[name] for name in _SHOWN} for row in loaded.prices], "no prices are loaded")
    if loaded.terms:
        click.echo()
        table([{_NAMES.get(name, name): row[name] for name in _TERMS_SHOWN} for row in loaded.terms], "")


_TERMS_SHOWN = ("currency", "version_id", "kind", "name", "customer_id", "plan", "meters", "amount", "percent",
                "effective_from", "until_on")  # fmt: skip
_NAMES = {"currency": "book", "version_id": "version", "customer_id": "customer"}


def _book(book: "PriceBook") -> dict[str, Any]:
    from billing_pipeline.comparison.rules.simulated_bill import sample_bills
    from billing_pipeline.pricing.rules.price_book_words import words_of

    return {
        "name": book.name,
        "currency": book.currency,
        "meters": [
            {
                "meter": m.name,
                "aggregation": m.aggregation,
                "dimension_names": m.dimensions,
                "unit": m.unit,
                "property": m.property,
                "events": m.events or "levels",
            }
            for m in book.meters.values()
        ],
        "versions": [
            {
                "version_id": version.id,
                "effective_from": version.effective_from,
                "prices": len(version.prices),
                "plans": list(version.plans),
                "customers": list(version.customers),
            }
            for version in book.versions
        ],
        "words": list(words_of(book)),
        "sample_bills": [asdict(bill) for bill in sample_bills(book)],
    }
