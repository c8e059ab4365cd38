"""`billing diff`."""

from datetime import date
from typing import Any

import click

from billing_pipeline.cli.common import Month
from billing_pipeline.cli.reports import Reports, report_options


@click.command()
@click.argument("first", type=Month())
@click.argument("second", type=Month())
@report_options
def diff(first: date, second: date, **options: Any) -> None:
    """Compare the lines of two months as they are in the books, drafts too."""
    from billing_pipeline.cli.comparison import run_diff

    run_diff(first, second, Reports(**options))
