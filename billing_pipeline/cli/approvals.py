"""`billing approve`: somebody looked at a month's drafts and lets them go out, exactly as they are."""

from datetime import date

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.options import JSON, THE_MONTH
from billing_pipeline.cli.output import print_json
from billing_pipeline.core.errors import UserError


@click.command()
@THE_MONTH
@click.option("--rows", help="The rows that were looked at, as `billing approve --show` prints them.")
@click.option("--show", is_flag=True, help="Only show what there is to approve, with its totals.")
@click.option("--author", help="Who approves; not the person who starts the run.")
@JSON
def approve(month: date, rows: str | None, show: bool, author: str | None, as_json: bool) -> None:
    """Approve a month's drafts, exactly as they are."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections.approvals import approve_month, month_drafts

    warehouse = open_database()
    if show:
        seen, done = month_drafts(warehouse, month), "to approve"
    elif author is None:
        raise UserError("expected --author, or --show")
    else:
        seen, done = approve_month(warehouse, month, author=author, rows=rows), f"approved by {author}"
    totals = [{"currency": currency, "total_minor": minor} for currency, minor in sorted(seen.totals_minor.items())]
    if as_json:
        print_json(
            {
                "billing_month": month,
                "rows": seen.rows,
                "drafts": seen.drafts,
                "totals": totals,
                "unmet_gates": seen.unmet_gates,
                "approved_by": None if show else author,
            }
        )
        return
    said = ", ".join(format_minor(minor, currency) for currency, minor in sorted(seen.totals_minor.items())) or "0"
    click.echo(f"{month:%Y-%m}: {seen.drafts} drafts over {said} at rows {seen.rows} {done}")
    if show and seen.unmet_gates:
        click.echo(f"{seen.unmet_gates} gates are not passed", err=True)
