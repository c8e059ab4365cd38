"""`billing events replay`, `acknowledge`, `process`, `sweep` and `rebuild`: what is done about events."""

import sys
from datetime import UTC, datetime
from uuid import uuid4

import click

from billing_pipeline.cli.common import open_database, open_stripe, quiet
from billing_pipeline.cli.event_options import chosen, event_filter
from billing_pipeline.cli.options import JSON, signed
from billing_pipeline.cli.output import print_json
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings


@click.command()
@click.argument("event_id", required=False)
@chosen
@click.option("--all", "all_", is_flag=True, help="Every event.")
@signed
def replay(
    event_id: str | None,
    state: str | None,
    type_: str | None,
    object_id: str | None,
    since: datetime | None,
    all_: bool,
    signature: Signature,
) -> None:
    """Put one event, those chosen, or all back to be processed again. What is right already does not change."""
    from dataclasses import replace

    from billing_pipeline.events import queue

    which = replace(event_filter(state, type_, object_id, since), event_id=event_id)
    if all_ == any(value is not None for value in which.parameters().values()):
        raise UserError("which events: expected an EVENT_ID, an option that chooses some, or --all")
    warehouse = open_database()
    if event_id is not None and not queue.listed(warehouse, which, 1):
        raise UserError(f"{event_id}: expected the id of a stored event that the options fit")
    click.echo(f"{queue.replay(warehouse, which, signature):,} event(s) put back")


@click.command()
@click.argument("event_id")
@signed
def acknowledge(event_id: str, signature: Signature) -> None:
    """Say that the copies that contradict an event were looked at: they are no alarm any more. They are kept."""
    from billing_pipeline.events import conflicts

    count = conflicts.acknowledge(open_database(), event_id, signature)
    click.echo(f"{count:,} contradicting copies of {event_id} are acknowledged")


@click.command()
def process() -> None:
    """Process what is due now, in this process. The sensor does the same as long as the daemon runs."""
    from billing_pipeline.events.cipher import EventCipher
    from billing_pipeline.events.processing import ProcessingOptions, process_events

    keys = load_settings().events.keys
    warehouse = open_database()
    with open_stripe() as gateway:
        done = process_events(warehouse, gateway, lambda: EventCipher(keys), f"billing-{uuid4()}", ProcessingOptions())
    click.echo(str(done))
    if done.outcomes["dead"]:
        sys.exit(1)


@click.command()
def sweep() -> None:
    """Fetch the events that Stripe lists and nobody has sent us. The schedule does the same."""
    from billing_pipeline.events.cipher import EventCipher
    from billing_pipeline.events.sweep import sweep_events

    cipher = EventCipher(load_settings().events.keys)
    warehouse = open_database()
    with open_stripe() as gateway:
        done = sweep_events(warehouse, gateway, cipher, "billing events sweep", datetime.now(UTC), log=quiet)
    click.echo(f"{done.listed_count:,} events listed since {done.listed_from:%Y-%m-%d %H:%M}, {done.new_count:,} new")


@click.command()
@JSON
def rebuild(as_json: bool) -> None:
    """Recompute every invoice's payment state from the stored events alone and compare it with the books.

    Changes nothing. Exit status 1 if they do not agree.
    """
    from dataclasses import asdict

    from billing_pipeline.events import rebuild as rebuilding
    from billing_pipeline.events.cipher import EventCipher

    done = rebuilding.rebuild(open_database(), EventCipher(load_settings().events.keys))
    if as_json:
        print_json(asdict(done))
        sys.exit(1 if done.mismatches else 0)
    for one in done.mismatches:
        told = asdict(one.from_events) if one.from_events else "nothing"
        click.echo(
            f"{one.number} of customer {one.customer_id}: the books say {asdict(one.in_books)}, the events {told}"
        )
    for event_id in done.unreadable:
        click.echo(f"event {event_id} cannot be read")
    click.echo(
        f"{done.event_count:,} events, {done.invoice_count:,} invoices: {done.agreeing:,} agree,"
        f" {len(done.mismatches):,} do not, {len(done.after_closing):,} changed after their month was closed"
    )
    if done.mismatches:
        sys.exit(1)
