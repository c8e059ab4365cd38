"""Fetch from Stripe's own list the events that never arrived, and store them through the door that webhooks use."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import text

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.store import parse_event, store_event
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.objects import StripeObjects

KEPT = timedelta(days=30)
"""How long Stripe lists an event: https://docs.stripe.com/api/events."""
OVERLAP = timedelta(hours=1)
"""Events may be listed a while after they are created, and clocks differ."""
BATCH = 100


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep listed. `gap`: events before `listed_from` may have come and gone since the last sweep."""

    listed_from: datetime
    listed_count: int
    new_count: int
    conflict_count: int
    gap: bool


def sweep_events(
    warehouse: Warehouse,
    api: StripeObjects,
    cipher: EventCipher,
    run_id: str,
    now: datetime,
    *,
    log: Callable[[str], None],
) -> Sweep:
    """List Stripe's events since the last sweep, with overlap, and store those that are not here.

    The sweep is entered only when the listing is complete: one that was cut off is done again, and what it stored is
    known by then.

    Args:
        warehouse: the billing database.
        api: Stripe.
        cipher: encrypts the bodies.
        run_id: who sweeps.
        now: what time it is at Stripe.
        log: says what happens.

    Raises:
        StripeFailure: Stripe could not be asked; what was stored stays.
    """
    last = warehouse.scalar("SELECT max(listed_through) FROM billing.stripe_event_sweeps")
    oldest = now - KEPT
    start = oldest if last is None else max(oldest, last - OVERLAP)
    gap = last is not None and last < oldest
    if gap:
        log(f"the last sweep was of {last:%Y-%m-%d %H:%M}: Stripe has forgotten events since then")
    listed = new = conflicts = 0
    events = iter(api.list_events(int(start.timestamp())))
    while batch := list(islice(events, BATCH)):
        listed += len(batch)
        for outcome in _store(warehouse, cipher, batch):
            new += outcome == "stored"
            conflicts += outcome == "conflict"
    with warehouse.transaction() as connection:
        connection.execute(text(_RECORD), {"start": start, "now": now, "listed": listed, "new": new, "run_id": run_id})
    log(f"{listed:,} events listed since {start:%Y-%m-%d %H:%M}, {new:,} of them new, {conflicts:,} contradicting")
    return Sweep(start, listed, new, conflicts, gap)


def _store(warehouse: Warehouse, cipher: EventCipher, batch: list[dict[str, Any]]) -> Iterator[str]:
    """One transaction a batch. What is here in the same words needs no encryption only to be refused."""
    events = [parse_event(json.dumps(body, separators=(",", ":")).encode()) for body in batch]
    with warehouse.transaction() as connection:
        known = connection.execute(text(_KNOWN), {"ids": [event.event_id for event in events]})
        contents = {row.event_id: bytes(row.content_sha256) for row in known}
        for event in events:
            if contents.get(event.event_id) != event.content_sha256:
                yield store_event(raw(connection), event, "sweep", cipher)


_KNOWN = "SELECT event_id, content_sha256 FROM billing.stripe_events WHERE event_id = ANY(:ids)"
_RECORD = """
INSERT INTO billing.stripe_event_sweeps (listed_from, listed_through, listed_count, new_count, run_id)
VALUES (:start, :now, :listed, :new, :run_id)
"""
