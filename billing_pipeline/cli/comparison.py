"""What differs between two months, or between a month and its shadow: on the terminal and in files.

Imported by the commands when they run: it loads Arrow, which the others do without.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.comparison_output import print_comparison, say_lines, say_waterfalls
from billing_pipeline.cli.reports import Reports
from billing_pipeline.comparison.rules.month_diff import (
    COMPUTED,
    Waterfall,
    differences,
    unexplained,
    waterfalls,
)
from billing_pipeline.pricing.book_file import read_book_file
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.comparison.html import Comparison


def run_diff(first: date, second: date, reports: Reports, *, as_json: bool) -> None:
    """Compare the lines of two months as they are in the books."""
    from billing_pipeline.comparison.html import Comparison
    from billing_pipeline.comparison.shadow import month_lines

    names = (f"{first:%Y-%m}", f"{second:%Y-%m}")
    expected = _expected(reports)
    warehouse = open_database()
    before, after = month_lines(warehouse, first), month_lines(warehouse, second)
    found = differences(before, after)
    falls = waterfalls(before, after, found)
    comparison = Comparison(f"{names[1]} against {names[0]}", names[0], names[1], found)
    title = f"Billing: {names[1]} against {names[0]}"
    _report(reports, title, falls, names, comparison, expected, as_json=as_json)


def run_shadow(
    month: date,
    price_book: Path | None,
    code: str | None,
    carry_forward: bool,
    as_of: datetime | None,
    reports: Reports,
    *,
    as_json: bool,
) -> None:
    """Build the month beside the books and say what differs from them."""
    from billing_pipeline.comparison.html import Comparison
    from billing_pipeline.comparison.shadow import month_lines, shadow_month
    from billing_pipeline.comparison.shadow_of_code import shadow_by_code
    from billing_pipeline.core.months import month_before
    from billing_pipeline.pricing.loading import book_of_shadow

    expected = _expected(reports)
    if price_book is not None:
        read_book_file(price_book)  # a mistake in it is said before the database is opened
    warehouse = open_database()
    book = book_of_shadow(warehouse, price_book, load_settings().pricing.price_book)
    now, notes = datetime.now(UTC), [f"Price book: {book.name}."]
    if code is None:
        shadow = shadow_month(warehouse, month, book.file.books, now, as_of=as_of, carry_forward=carry_forward)
    else:
        built = shadow_by_code(warehouse, code, month, book.file.text, now, as_of=as_of, carry_forward=carry_forward)
        shadow = built.shadow
        notes.append(f"Code: {built.code}.")
    last = month_before(month)
    # a shadow has no adjustments: they are decisions, not usage
    booked, earlier = (month_lines(warehouse, which, COMPUTED) for which in (month, last))
    names = (f"{last:%Y-%m}", f"{month:%Y-%m} (shadow)")
    falls = waterfalls(earlier, shadow.lines, differences(earlier, shadow.lines))
    if shadow.unpriced_snapshots:
        notes.append(f"{shadow.unpriced_snapshots} snapshot(s) that it cannot price would go to quarantine.")
    found = differences(booked, shadow.lines)
    title = f"{month:%Y-%m}: the shadow against the books"
    comparison = Comparison(title, "In the books", "Shadow", found, notes)
    _report(reports, f"Billing: shadow of {month:%Y-%m}", falls, names, comparison, expected, as_json=as_json)


def _expected(reports: Reports) -> dict[Any, int] | None:
    from billing_pipeline.comparison.files import read_expected

    return read_expected(reports.expect) if reports.expect is not None else None


def _report(
    reports: Reports,
    title: str,
    falls: Sequence[Waterfall],
    names: tuple[str, str],
    comparison: "Comparison",
    expected: dict[Any, int] | None,
    *,
    as_json: bool,
) -> None:
    from billing_pipeline.comparison import files
    from billing_pipeline.comparison.html import render

    found = comparison.found
    problems = unexplained(found, expected or {})
    if as_json:
        print_comparison(falls, names, comparison, problems)
    else:
        say_waterfalls(falls, names)
        for note in comparison.notes:
            click.echo(note)
        say_lines(comparison.title, found)
    if reports.csv is not None:
        files.write_csv(found, reports.csv)
    if reports.parquet is not None:
        files.write_parquet(found, reports.parquet)
    if reports.html is not None:
        written = f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
        files.write_text(render(title, falls, names, [comparison], written), reports.html)
    if expected is None and not reports.fail_on_difference:
        return
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if not as_json:
        click.echo(f"{len(found)} differences, {len(problems)} unexplained")
    if problems:
        sys.exit(1)
