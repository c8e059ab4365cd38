"""`billing diff`."""

from datetime import date
from typing import Any

import click

from billing_pipeline.cli.options import JSON, Month
from billing_pipeline.cli.reports import Reports, report_options


@click.command()
@click.argument("first", type=Month())
@click.argument("second", type=Month())
@report_options
@JSON
def diff(first: date, second: date, as_json: bool, **options: Any) -> None:
    """Compare the lines of two months as they are in the books, drafts too."""
    from billing_pipeline.cli.comparison import run_diff

    run_diff(first, second, Reports(**options), as_json=as_json)
