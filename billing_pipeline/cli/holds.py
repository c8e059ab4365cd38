"""`billing hold`, `release` and `approve`: what people say before money moves."""

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import AUTHOR, REASON, Month, open_database, table
from billing_pipeline.core.errors import UserError

if TYPE_CHECKING:
    from billing_pipeline.corrections.holds import Subject
    from billing_pipeline.postgres.warehouse import Warehouse


def _of_one(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--customer", help="A customer's id."),
        click.option("--invoice", help="An invoice's number, or the id of a draft."),
        click.option("--month", type=Month(), help="A month, such as 2026-10."),
    ):
        command = option(command)
    return command


@click.group()
def hold() -> None:
    """Keep a customer, an invoice or a month from being finalised and charged."""


@hold.command()
@_of_one
@REASON
@AUTHOR
def place(customer: str | None, invoice: str | None, month: date | None, reason: str, author: str) -> None:
    """Place a hold on one of them."""
    from billing_pipeline.core.signature import Signature
    from billing_pipeline.corrections.holds import place_hold

    warehouse = open_database()
    subject = _subject(warehouse, customer, invoice, month)
    place_hold(warehouse, subject, Signature(author, reason))
    click.echo(f"{subject.label} is on hold: nothing of it is finalised or charged")


@hold.command(name="list")
@click.option("--month", type=Month(), help="Only what keeps something of this month back.")
def list_(month: date | None) -> None:
    """Show the active holds and what they keep back."""
    from billing_pipeline.corrections.holds import active_holds

    rows = active_holds(open_database(), month)
    for row in rows:
        row["placed_at"] = f"{row['placed_at']:%Y-%m-%d %H:%M}"
    table(rows, "nothing is on hold")


@click.command()
@_of_one
@REASON
@AUTHOR
def release(customer: str | None, invoice: str | None, month: date | None, reason: str, author: str) -> None:
    """Release a hold; the next run goes on with what it kept back."""
    from billing_pipeline.core.signature import Signature
    from billing_pipeline.corrections.holds import release_hold

    warehouse = open_database()
    subject = _subject(warehouse, customer, invoice, month)
    release_hold(warehouse, subject, Signature(author, reason))
    click.echo(f"{subject.label} is released")


@click.command()
@click.option("--month", type=Month(), required=True, help="The month whose drafts are approved.")
@click.option("--rows", help="The rows that were looked at, as `billing approve --show` prints them.")
@click.option("--show", is_flag=True, help="Only show what there is to approve.")
@click.option("--author", help="Who approves; not the person who starts the run.")
def approve(month: date, rows: str | None, show: bool, author: str | None) -> None:
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
    totals = ", ".join(format_minor(minor, currency) for currency, minor in sorted(seen.totals_minor.items())) or "0"
    click.echo(f"{month:%Y-%m}: {seen.drafts} drafts over {totals} at rows {seen.rows} {done}")
    if show and seen.unmet_gates:
        click.echo(f"{seen.unmet_gates} gates are not passed", err=True)


def _subject(warehouse: "Warehouse", customer: str | None, invoice: str | None, month: date | None) -> "Subject":
    from billing_pipeline.corrections.holds import customer_subject, invoice_subject, month_subject

    if sum(given is not None for given in (customer, invoice, month)) != 1:
        raise UserError("expected one of --customer, --invoice and --month")
    if customer is not None:
        return customer_subject(warehouse, customer)
    if invoice is not None:
        return invoice_subject(warehouse, invoice)
    return month_subject(month)  # type: ignore[arg-type] # one of the three is given
