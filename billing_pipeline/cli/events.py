"""`billing events`: look at Stripe's events, put them back, fetch those that are missing, check the books by them."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import click

from billing_pipeline.cli.common import open_database, open_stripe, quiet
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, Instant, signed
from billing_pipeline.cli.output import print_json, print_rows
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.events.queue import EventFilter

_F = TypeVar("_F", bound=Callable[..., Any])
STATES = click.Choice(["pending", "waiting", "applied", "ignored", "dead"])


def _chosen(command: _F) -> _F:
    """The options that choose events."""
    for option in (
        click.option("--since", type=Instant(), help="Received at or after this instant."),
        click.option("--object", "object_id", help="About this object of Stripe's, such as in_…."),
        click.option("--type", "type_", help="Of this type; a * stands for anything, as in invoice.*."),
        click.option("--state", type=STATES, help="In this state."),
    ):
        command = option(command)
    return command


def _filter(state: str | None, type_: str | None, object_id: str | None, since: datetime | None) -> "EventFilter":
    from billing_pipeline.events.queue import EventFilter

    return EventFilter(state=state, type=type_, object_id=object_id, since=since)


@click.group(cls=Group)
def events() -> None:
    """Stripe's events: what came in and what became of it."""


@events.command(name="list")
@_chosen
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="The newest so many.")
@JSON
def list_command(
    state: str | None, type_: str | None, object_id: str | None, since: datetime | None, limit: int, as_json: bool
) -> None:
    """List events, newest first."""
    from billing_pipeline.events.queue import listed

    rows = listed(open_database(), _filter(state, type_, object_id, since), limit)
    if as_json:
        print_rows("events", rows, as_json=True, empty="")
        return
    if not rows:
        click.echo("no events")
    for row in rows:
        error = f"  {row['last_error']}" if row["last_error"] else ""
        click.echo(
            f"{row['received_at']:%Y-%m-%d %H:%M:%S}  {row['state']:<8} {row['event_id']}  {row['type']}"
            f"  {row['object_id'] or '-'}{error}"
        )


@events.command()
@click.argument("event_id")
@click.option("--body", is_flag=True, help="Print the bytes as they were received, too.")
@JSON
def show(event_id: str, body: bool, as_json: bool) -> None:
    """Show an event: what came, what became of it, who put it back."""
    from billing_pipeline.events.cipher import EventCipher
    from billing_pipeline.events.queue import EventFilter, history, listed
    from billing_pipeline.events.store import read_body
    from billing_pipeline.postgres.connections import raw

    warehouse = open_database()
    rows = listed(warehouse, EventFilter(event_id=event_id), 1)
    if not rows:
        raise UserError(f"{event_id}: expected the id of a stored event")
    entries = history(warehouse, event_id)
    if as_json:
        print_json({**rows[0], "history": entries})
        return
    for name, value in rows[0].items():
        click.echo(f"{name:<12} {'' if value is None else value}")
    for entry in entries:
        click.echo(
            f"{entry['action']:<12} {entry['logged_at']:%Y-%m-%d %H:%M:%S} by {entry['actor']}: {entry['reason']}"
        )
    if body:
        with warehouse.engine.connect() as connection:
            click.echo(read_body(raw(connection), event_id, EventCipher(load_settings().events.keys)))


@events.command()
@click.argument("event_id", required=False)
@_chosen
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

    from billing_pipeline.events.queue import listed
    from billing_pipeline.events.queue import replay as put_back

    chosen = replace(_filter(state, type_, object_id, since), event_id=event_id)
    if all_ == any(value is not None for value in chosen.parameters().values()):
        raise UserError("which events: expected an EVENT_ID, an option that chooses some, or --all")
    warehouse = open_database()
    if event_id is not None and not listed(warehouse, chosen, 1):
        raise UserError(f"{event_id}: expected the id of a stored event that the options fit")
    click.echo(f"{put_back(warehouse, chosen, signature):,} event(s) put back")


@events.command()
@JSON
def contradictions(as_json: bool) -> None:
    """List copies of events that say something else than the stored one and that nobody has acknowledged."""
    from billing_pipeline.events.conflicts import contradictions as unacknowledged

    rows = unacknowledged(open_database())
    print_rows("contradictions", rows, as_json=as_json, empty="no contradicting copies")


@events.command()
@JSON
def foreign(as_json: bool) -> None:
    """Count the events of other accounts and modes that came to our receiver; their bodies are not kept."""
    from billing_pipeline.events.queue import foreign_events

    print_rows("foreign_events", foreign_events(open_database()), as_json=as_json, empty="no events of others")


@events.command()
@click.argument("event_id")
@signed
def acknowledge(event_id: str, signature: Signature) -> None:
    """Say that the copies that contradict an event were looked at: they are no alarm any more. They are kept."""
    from billing_pipeline.events.conflicts import acknowledge as looked_at

    count = looked_at(open_database(), event_id, signature)
    click.echo(f"{count:,} contradicting copies of {event_id} are acknowledged")


@events.command()
def process() -> None:
    """Process what is due now, in this process. The sensor does the same as long as the daemon runs."""
    from billing_pipeline.events.cipher import EventCipher
    from billing_pipeline.events.processing import process_events

    keys = load_settings().events.keys
    warehouse = open_database()
    with open_stripe() as gateway:
        done = process_events(warehouse, gateway, lambda: EventCipher(keys), f"billing-{uuid4()}", log=quiet)
    click.echo(str(done))
    if done.outcomes["dead"]:
        sys.exit(1)


@events.command()
def sweep() -> None:
    """Fetch the events that Stripe lists and nobody has sent us. The schedule does the same."""
    from billing_pipeline.events.cipher import EventCipher
    from billing_pipeline.events.sweep import sweep_events

    cipher = EventCipher(load_settings().events.keys)
    warehouse = open_database()
    with open_stripe() as gateway:
        done = sweep_events(warehouse, gateway, cipher, "billing events sweep", datetime.now(UTC), log=quiet)
    click.echo(f"{done.listed_count:,} events listed since {done.listed_from:%Y-%m-%d %H:%M}, {done.new_count:,} new")


@events.command()
@JSON
def rebuild(as_json: bool) -> None:
    """Recompute every invoice's payment state from the stored events alone and compare it with the books.

    Changes nothing. Exit status 1 if they do not agree.
    """
    from dataclasses import asdict

    from billing_pipeline.events.cipher import EventCipher
    from billing_pipeline.events.rebuild import rebuild as recompute

    done = recompute(open_database(), EventCipher(load_settings().events.keys))
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
