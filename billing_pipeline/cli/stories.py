"""How the audit log's entries and Stripe's events about an invoice are printed, wherever a story is told."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from billing_pipeline.cli.output import instant

Row = Mapping[str, Any]


def because(charge: Row) -> str:
    """Why a charge is refused or parked, to be put behind its state; blank: there is no reason to name."""
    parts = dict.fromkeys(str(part) for part in (charge["reason_code"], charge["reason"]) if part)
    return f": {', '.join(parts)}" if parts else ""


def print_history(entries: Sequence[Row]) -> None:
    """Entries of the audit log, a line each."""
    if entries:
        click.echo("\nhistory")
    for entry in entries:
        click.echo(f"  {instant(entry['logged_at'])}  {entry['actor']}  {entry['action']}{_change(entry)}")


def print_stripe_events(events: Sequence[Row]) -> None:
    """Stripe's events, a line each."""
    if events:
        click.echo("\nevents from Stripe")
    for event in events:
        click.echo(f"  {instant(event['received_at'])}  {event['type']}  {event['event_id']}")


def _change(entry: Row) -> str:
    before, after = entry["state_before"] or {}, dict(entry["state_after"] or {})
    moves = [
        f"{name} {before[name]} -> {after[name]}" if before.get(name) not in (None, after[name]) else f"{after[name]}"
        for name in ("status", "state", "attempt")
        if name in after and (name != "attempt" or before.get(name) != after[name])
    ]
    evidence = [
        f"{name}={value}" for name, value in after.items() if name not in ("status", "state", "attempt", "message")
    ]
    why = f"  {entry['reason']}" if entry["reason"] else ""
    return f"  {', '.join(moves)}{why}" + (f"  [{', '.join(evidence)}]" if evidence else "")
