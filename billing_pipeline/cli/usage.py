"""`billing import` and `billing correct`: what comes from the platform, and what stands in for its mistakes."""

from datetime import datetime
from pathlib import Path

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import FILE, Instant, signed
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings


@click.group(name="import", cls=Group)
def import_() -> None:
    """Import the platform's files: CSV, JSONL or Parquet. All of a file or nothing."""


@import_.command(name="customers")
@FILE
def import_customers_command(file: Path) -> None:
    """Add and update customers."""
    from billing_pipeline.customers.importing import import_customers

    done = import_customers(open_database(), file)
    click.echo(f"{done.rows} customers: {done.inserted} new, {done.updated} changed, {done.unchanged} as they were")


@import_.command(name="usage")
@FILE
@click.option(
    "--complete-through",
    type=Instant(),
    help="The feed holds all usage before this instant. Default: its newest occurred_at.",
)
def import_usage_command(file: Path, complete_through: datetime | None) -> None:
    """Add usage events. An event that is already known is not added again."""
    from billing_pipeline.invoicing.first_month import keep_first_month
    from billing_pipeline.usage.importing import import_usage

    warehouse = open_database()
    done = import_usage(warehouse, file, complete_through)
    keep_first_month(warehouse, load_settings())
    reach = done.complete_through.isoformat() if done.complete_through else "never"
    click.echo(
        f"{done.rows} usage events: {done.new_events} new, {done.known_events} known already;"
        f" the feed is complete through {reach}"
    )
    if done.repeated_rows:
        click.echo(
            f"  {done.repeated_rows} of the rows repeat the event_id of an earlier row, content and all, and count"
            " once: right for events that were sent twice; a spreadsheet that cut off long ids looks like this too"
        )


def _object(_context: click.Context, _option: click.Parameter, text: str | None) -> dict[str, object] | None:
    import json

    try:
        found = json.loads(text) if text else None
    except json.JSONDecodeError:
        found = text
    if found is not None and not isinstance(found, dict):
        raise click.BadParameter(f"{text!r}: expected a JSON object")
    return found


@click.group(cls=Group)
def correct() -> None:
    """Correct what the platform sent, by adding to it."""


@correct.command(name="usage")
@click.option("--event-id", help="The event that was wrong.")
@click.option("--customer", help="Whose usage, when an event was missing.")
@click.option("--meter", help="Which meter, when an event was missing.")
@click.option("--dimensions", callback=_object, help="A JSON object, when an event was missing.")
@click.option(
    "--properties",
    callback=_object,
    help="A JSON object, when an event was missing whose meter counts distinct values.",
)
@click.option("--occurred-at", type=Instant(), help="When, when an event was missing.")
@click.option("--quantity", help="The right quantity.")
@click.option(
    "--remove", is_flag=True, help="Take --event-id away: it never was. A quantity of 0 would be a level of 0."
)
@signed
def correct_usage_command(
    event_id: str | None,
    customer: str | None,
    meter: str | None,
    dimensions: dict[str, object] | None,
    properties: dict[str, object] | None,
    occurred_at: datetime | None,
    quantity: str | None,
    remove: bool,
    signature: Signature,
) -> None:
    """Write a correcting event, which stands in for --event-id, takes it away, or adds a missing one."""
    from billing_pipeline.usage.correction import MissingEvent, correct_usage, remove_usage

    missing = MissingEvent(customer, meter, dimensions, occurred_at, properties)
    if remove:
        if event_id is None or quantity is not None or missing.is_given:
            raise click.UsageError("--remove takes an --event-id and nothing but it")
        written = remove_usage(open_database(), signature, event_id=event_id)
        click.echo(f"event {event_id} removed by {written}; run the month again to bill without it")
        return
    if quantity is None:
        raise click.UsageError("expected --quantity, or --remove")
    written = correct_usage(open_database(), signature, event_id=event_id, quantity=quantity, missing=missing)
    click.echo(f"correcting event {written} written; run the month again to bill it")
