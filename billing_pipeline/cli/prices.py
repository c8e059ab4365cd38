"""`billing prices`: a price book before it is used, and the one that is in use."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import CUSTOMER, FILE, JSON
from billing_pipeline.cli.output import instant, print_json, table

if TYPE_CHECKING:
    from billing_pipeline.pricing.rules.price_book import PriceBook

_SHOWN = ("currency", "version_id", "customer_id", "meter", "dimensions", "model", "tier_from", "tier_up_to",
          "unit_amount", "package_size", "included", "minimum")  # fmt: skip


@click.group(cls=Group)
def prices() -> None:
    """Check a price book file, and show the prices in use."""


@prices.command()
@FILE
@JSON
def check(file: Path, as_json: bool) -> None:
    """Check the price book FILE and say in words what it charges. Needs no database. Exit status 1 if it is wrong."""
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
    for book in books:
        for line in words_of(book):
            click.echo(line)
    click.echo(f"{file.name} is right; nothing was loaded")


@prices.command()
@click.option("--currency", help="Only the book in this currency, such as usd.")
@CUSTOMER
@JSON
def show(currency: str | None, customer: str | None, as_json: bool) -> None:
    """Show the prices in use: what the next run would bill with, if the price book file stays as it is."""
    from billing_pipeline.pricing.reading import prices_loaded

    loaded = prices_loaded(open_database(), currency=currency and currency.lower(), customer_id=customer)
    if as_json:
        print_json({"books": loaded.books, "meters": loaded.meters, "prices": loaded.prices})
        return
    for book in loaded.books:
        click.echo(f"{book['name']} ({book['currency']}), loaded {instant(book['loaded_at'])}")
    # the currency is a column here, not that of an amount beside it
    table([{_NAMES.get(name, name): row[name] for name in _SHOWN} for row in loaded.prices], "no prices are loaded")


_NAMES = {"currency": "book", "version_id": "version", "customer_id": "customer"}


def _book(book: "PriceBook") -> dict[str, Any]:
    from billing_pipeline.pricing.rules.price_book_words import words_of

    return {
        "name": book.name,
        "currency": book.currency,
        "meters": [
            {"meter": m.name, "aggregation": m.aggregation, "dimension_names": m.dimensions, "unit": m.unit}
            for m in book.meters.values()
        ],
        "versions": [
            {
                "version_id": version.id,
                "effective_from": version.effective_from,
                "prices": len(version.prices),
                "customers": list(version.customers),
            }
            for version in book.versions
        ],
        "words": list(words_of(book)),
    }
