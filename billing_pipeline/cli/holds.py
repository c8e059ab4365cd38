"""`billing hold` and `release`: what people keep from being finalised and charged."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, MONTH, Month, signed
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature

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


@click.group(cls=Group)
def hold() -> None:
    """Keep a customer, an invoice or a month from being finalised and charged."""


@hold.command()
@_of_one
@signed
def place(customer: str | None, invoice: str | None, month: date | None, signature: Signature) -> None:
    """Place a hold on one of them."""
    from billing_pipeline.corrections.holds import place_hold

    warehouse = open_database()
    subject = _subject(warehouse, customer, invoice, month)
    place_hold(warehouse, subject, signature)
    click.echo(f"{subject.label} is on hold: nothing of it is finalised or charged")


@hold.command(name="list")
@MONTH
@JSON
def list_(month: date | None, as_json: bool) -> None:
    """Show the active holds and what they keep back."""
    from billing_pipeline.corrections.holds import active_holds

    rows = [asdict(hold) for hold in active_holds(open_database(), month)]
    print_rows("holds", rows, as_json=as_json, empty="nothing is on hold")


@click.command()
@_of_one
@signed
def release(customer: str | None, invoice: str | None, month: date | None, signature: Signature) -> None:
    """Release a hold; the next run goes on with what it kept back."""
    from billing_pipeline.corrections.holds import release_hold

    warehouse = open_database()
    subject = _subject(warehouse, customer, invoice, month)
    release_hold(warehouse, subject, signature)
    click.echo(f"{subject.label} is released")


def _subject(warehouse: "Warehouse", customer: str | None, invoice: str | None, month: date | None) -> "Subject":
    from billing_pipeline.corrections.holds import customer_subject, invoice_subject, month_subject

    if sum(given is not None for given in (customer, invoice, month)) != 1:
        raise UserError("expected one of --customer, --invoice and --month")
    if customer is not None:
        return customer_subject(warehouse, customer)
    if invoice is not None:
        return invoice_subject(warehouse, invoice)
    return month_subject(month)  # type: ignore[arg-type] # one of the three is given
