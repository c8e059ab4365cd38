"""Options that choose events."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from billing_pipeline.cli.options import Instant

if TYPE_CHECKING:
    from billing_pipeline.events.queue import EventFilter

_F = TypeVar("_F", bound=Callable[..., Any])
STATES = click.Choice(["pending", "waiting", "applied", "ignored", "dead"])


def chosen(command: _F) -> _F:
    """Decorates a command with the options that choose events: state, type_, object_id and since."""
    for option in (
        click.option("--since", type=Instant(), help="Received at or after this instant."),
        click.option("--object", "object_id", help="About this object of Stripe's, such as in_…."),
        click.option("--type", "type_", help="Of this type; a * stands for anything, as in invoice.*."),
        click.option("--state", type=STATES, help="In this state."),
    ):
        command = option(command)
    return command


def event_filter(state: str | None, type_: str | None, object_id: str | None, since: datetime | None) -> "EventFilter":
    """The filter that these options say."""
    from billing_pipeline.events.queue import EventFilter

    return EventFilter(state=state, type=type_, object_id=object_id, since=since)
