"""`billing events`: look at Stripe's events and at what became of them. What is done about them: event_work."""

from datetime import datetime

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.event_options import chosen, event_filter
from billing_pipeline.cli.groups import LazyGroup
from billing_pipeline.cli.options import JSON
from billing_pipeline.cli.output import print_json, print_rows
from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import load_settings

SECTIONS = {
    "Look": {
        "list": "events:list_command",
        "show": "events:show",
        "contradictions": "events:contradictions",
        "foreign": "events:foreign",
        "rebuild": "event_work:rebuild",
    },
    "Process": {"process": "event_work:process", "sweep": "event_work:sweep"},
    "Decide": {"replay": "event_work:replay", "acknowledge": "event_work:acknowledge"},
}


@click.group(cls=LazyGroup, sections=SECTIONS)
def events() -> None:
    """Stripe's events: what came in and what became of it."""


@click.command(name="list")
@chosen
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="The newest so many.")
@JSON
def list_command(
    state: str | None, type_: str | None, object_id: str | None, since: datetime | None, limit: int, as_json: bool
) -> None:
    """List events, newest first."""
    from billing_pipeline.events.queue import listed

    rows = listed(open_database(), event_filter(state, type_, object_id, since), limit)
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


@click.command()
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


@click.command()
@JSON
def contradictions(as_json: bool) -> None:
    """List copies of events that say something else than the stored one and that nobody has acknowledged."""
    from billing_pipeline.events import conflicts

    rows = conflicts.contradictions(open_database())
    print_rows("contradictions", rows, as_json=as_json, empty="no contradicting copies")


@click.command()
@JSON
def foreign(as_json: bool) -> None:
    """Count the events of other accounts and modes that came to our receiver; their bodies are not kept."""
    from billing_pipeline.events.queue import foreign_events

    print_rows("foreign_events", foreign_events(open_database()), as_json=as_json, empty="no events of others")
