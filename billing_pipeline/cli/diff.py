"""`billing diff`, and the options that the shadow of `billing run --shadow` shares with it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from billing_pipeline.cli.common import Month

_PATH = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Reports:
    """Where a comparison goes, and what may differ."""

    csv: Path | None = None
    parquet: Path | None = None
    html: Path | None = None
    expect: Path | None = None
    fail_on_difference: bool = False


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of Reports."""
    options = (
        click.option("--csv", type=_PATH, help="Write every differing line to this CSV file."),
        click.option("--parquet", type=_PATH, help="The same as Parquet."),
        click.option("--html", type=_PATH, help="Write a report with a waterfall, in one HTML file."),
        click.option("--expect", type=_PATH, help="CSV of the differences that are expected; any other fails."),
        click.option("--fail-on-difference", is_flag=True, help="Exit status 1 if a line differs unexpectedly."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("first", type=Month())
@click.argument("second", type=Month())
@report_options
def diff(first: date, second: date, **options: Any) -> None:
    """Compare the lines of two months as they are in the books, drafts too."""
    from billing_pipeline.cli.comparison import run_diff

    run_diff(first, second, Reports(**options))
