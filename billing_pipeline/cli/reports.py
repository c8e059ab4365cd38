"""Where a comparison goes and what may differ: the options that `billing diff` and a shadow share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

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
