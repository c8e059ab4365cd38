"""The queue of Stripe's events: billing.stripe_event_work, claimed by lease, finished by whoever still holds the claim.

A claim is an attempt with a number: it makes the event due again later, so that whoever dies strands nothing, and
only the newest attempt may finish it. What becomes of an event is decided in events/rules/.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.core.signature import Signature
from billing_pipeline.events.rules.endings import ClaimedEvent, Ending
from billing_pipeline.events.rules.stripe_events import HANDLED
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

LEASE_S = 300
ERROR_MAX = 2_000


@dataclass(frozen=True, slots=True)
class DueWork:
    """Whether there is something to do: how much is due, and the oldest of it with its number of attempts."""

    count: int
    event_id: str
    attempts: int


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events an operator means; None: any. `type` may end in *."""

    event_id: str | None = None
    state: str | None = None
    type: str | None = None
    object_id: str | None = None
    since: datetime | None = None

    def parameters(self) -> dict[str, Any]:
        """As the statements take them."""
        pattern = self.type
        if pattern is not None:
            pattern = pattern.replace("\\", "\\\\").replace("_", r"\_").replace("%", r"\%").replace("*", "%")
        return {
            "event_id": self.event_id,
            "state": self.state,
            "type": pattern,
            "object_id": self.object_id,
            "since": self.since,
        }


def due_work(warehouse: Warehouse, now: datetime) -> DueWork | None:
    """What is due, None if nothing is. Changes nothing."""
    rows = warehouse.rows(_DUE, now=now)
    return DueWork(**rows[0]) if rows else None


def ignore_unhandled(warehouse: Warehouse, now: datetime, run_id: str) -> int:
    """Finish every due event of a type that is only kept. Returns how many there were."""
    with warehouse.transaction() as connection:
        return connection.execute(
            text(load_sql("events/ignore_unhandled.sql")), {"now": now, "run_id": run_id, "handled": list(HANDLED)}
        ).rowcount


def claim(
    warehouse: Warehouse, now: datetime, run_id: str, *, batch: int, lease_s: float = LEASE_S
) -> list[ClaimedEvent]:
    """Claim due events for `lease_s`, oldest first; what another process is claiming is skipped."""
    parameters = {"now": now, "run_id": run_id, "batch": batch, "lease_s": lease_s}
    with warehouse.transaction() as connection:
        return [ClaimedEvent(*row) for row in connection.execute(text(load_sql("events/claim.sql")), parameters)]


def still_held(connection: Connection, events: Sequence[ClaimedEvent]) -> list[ClaimedEvent]:
    """Those of the events whose claim is still ours; their rows are locked until the end of the transaction."""
    held = connection.execute(
        text(
            "SELECT event_id, attempts FROM billing.stripe_event_work"
            " WHERE event_id = ANY(:ids) AND state IN ('pending', 'waiting') ORDER BY event_id FOR UPDATE"
        ),
        {"ids": [event.event_id for event in events]},
    )
    attempts = {row.event_id: row.attempts for row in held}
    return [event for event in events if attempts.get(event.event_id) == event.attempt]


def finish(connection: Connection, endings: Sequence[Ending], now: datetime, run_id: str) -> None:
    """Write how attempts ended, in the caller's transaction; one that no longer holds its event writes nothing."""
    connection.execute(
        text(load_sql("events/finish.sql")),
        {
            "event_ids": [ending.event.event_id for ending in endings],
            "attempts": [ending.event.attempt for ending in endings],
            "states": [ending.state for ending in endings],
            "failures": [ending.failures for ending in endings],
            "due_ats": [ending.due_at or now for ending in endings],
            "errors": [_storable(ending.error) for ending in endings],
            "run_id": run_id,
        },
    )


def release(warehouse: Warehouse, events: Sequence[ClaimedEvent], now: datetime, run_id: str, delay_s: float) -> None:
    """Give claims back, due again after `delay_s`, as if nobody had tried."""
    due_at = now + timedelta(seconds=delay_s)
    endings = [Ending(event, "pending", failures=event.failures, due_at=due_at) for event in events]
    with warehouse.transaction() as connection:
        finish(connection, endings, now, run_id)


def listed(
    warehouse: Warehouse, chosen: EventFilter, row_count: int, after: tuple[datetime, str] | None = None
) -> list[dict[str, Any]]:
    """The newest of the chosen events with what became of them; `after`: those behind this received_at and event_id."""
    received_at, event_id = after or (None, None)
    return warehouse.rows(
        load_sql("events/list.sql"),
        row_count=row_count,
        after_received_at=received_at,
        after_event_id=event_id,
        **chosen.parameters(),
    )


def count_by_state(warehouse: Warehouse) -> list[dict[str, Any]]:
    """How many events are in which state."""
    return warehouse.rows(
        "SELECT state, count(*) AS events FROM billing.stripe_event_work GROUP BY state ORDER BY state"
    )


def foreign_events(warehouse: Warehouse) -> list[dict[str, Any]]:
    """What came to our receiver and is not ours: a row an account and mode, with its events and when they came."""
    return warehouse.rows(_FOREIGN)


def history(warehouse: Warehouse, event_id: str) -> list[dict[str, Any]]:
    """What people did about an event, by the audit log: logged_at, actor, action, reason; the oldest first."""
    return warehouse.rows(
        "SELECT logged_at, actor, action, reason FROM billing.automation_log"
        " WHERE object_type = 'stripe_event' AND object_id = :event_id ORDER BY log_id",
        event_id=event_id,
    )


def replay(warehouse: Warehouse, chosen: EventFilter, signature: Signature) -> int:
    """Put the chosen events back to be processed again, and say so in the audit log. Returns how many."""
    with warehouse.transaction() as connection:
        parameters = {**chosen.parameters(), **asdict(signature)}
        return len(connection.execute(text(load_sql("events/replay.sql")), parameters).all())


def _storable(error: str | None) -> str | None:
    """Text that Postgres takes: no NUL, no lone surrogate, not endless, not empty."""
    if error is None:
        return None
    clean = error.replace("\0", "␀").encode("utf-8", "replace").decode("utf-8")
    return clean[:ERROR_MAX] or "no message"


_DUE = """
SELECT (count(*) OVER ())::integer AS count, event_id, attempts FROM billing.stripe_event_work
WHERE state IN ('pending', 'waiting') AND due_at <= :now
ORDER BY due_at, event_id LIMIT 1
"""
_FOREIGN = """
SELECT account, livemode, count(*) AS events, min(received_at) AS first_at, max(received_at) AS last_at
FROM billing.stripe_foreign_events GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2
"""
