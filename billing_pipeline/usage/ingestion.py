"""Usage events as they come, up to 10,000 at once: each stored, known, or refused by itself; durable when it returns.

The rules of an event are those of a file's row (rules/fields.py), and so are the lock and the cut-off: no event appears
with a received_at before the cut-off of a snapshot that did not see it. Here: what becomes of each event. Not here:
files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import text

from billing_pipeline.core.errors import UserError
from billing_pipeline.imports.columns import checked
from billing_pipeline.imports.problems import ProblemList
from billing_pipeline.imports.text import read_events
from billing_pipeline.postgres.arrow_copy import copy_arrow_in
from billing_pipeline.postgres.locks import lock_usage
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.importing import (
    INSERT,
    STAGE,
    UsageImport,
    check_declared,
    different_content,
    record_import,
)
from billing_pipeline.usage.rules.fields import USAGE_FIELDS

EVENTS_MAX = 10_000
"""Events of one call."""


@dataclass(frozen=True, slots=True)
class IngestedEvent:
    """What became of the event at this place of the call, from 0. `known`: it was stored before, with this content.

    `field`, `value` and `expected` say why it was refused; `field` and `value` are None where the whole event is meant.
    """

    place: int
    event_id: str | None
    status: Literal["stored", "known", "refused"]
    field: str | None = None
    value: str | None = None
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Ingested:
    """The events in the order of the call, and when those that are new were received."""

    received_at: datetime
    events: list[IngestedEvent]


def ingest_usage(
    warehouse: Warehouse, events: Sequence[bytes], complete_through: datetime | None = None, *, source: str = "api"
) -> Ingested:
    """Store events, each a JSON object in UTF-8. One that is bad refuses itself alone.

    Args:
        warehouse: the billing database.
        events: the objects, with the names of a usage file's columns.
        complete_through: the platform's word that all usage before this instant is in. Without it the feed's reach
            stays as it is: of several senders, none vouches for the others.
        source: who sent them; kept in billing.usage_imports.

    Raises:
        UserError: too many events, or a reach that lies ahead; nothing was stored.
    """
    if len(events) > EVENTS_MAX:
        raise UserError(f"events: expected at most {EVENTS_MAX:,} in one call, found {len(events):,}")
    problems = ProblemList(source, kept_max=EVENTS_MAX)
    table = checked(read_events(events, USAGE_FIELDS, problems), USAGE_FIELDS, problems)
    columns = ["line", *(field.name for field in USAGE_FIELDS)]
    ids = dict(zip(table["line"].to_pylist(), table["event_id"].to_pylist(), strict=True))
    with warehouse.transaction() as connection:
        # the answer says that they are there: whatever the server or the role is set to, it waits for the disk
        connection.execute(text("SET LOCAL synchronous_commit = on"))
        if complete_through is not None:
            check_declared(connection, source, complete_through)
        connection.execute(text(STAGE))
        copy_arrow_in(connection, "pg_temp.staged_usage", columns, [table] if table.num_rows else [])
        lock_usage(connection)
        received_at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        at = {"received_at": received_at}
        new_lines: set[int] = set()
        if connection.execute(text(INSERT), at).rowcount:
            new_lines = set(connection.execute(text(_NEW), at).scalars())
        if len(new_lines) < table.num_rows:
            parameters = {**at, "shown": EVENTS_MAX}
            for row in connection.execute(text(load_sql("usage/import_conflicts.sql")), parameters).mappings():
                problems.add(row["line"], "event_id", row["event_id"], different_content(dict(row)))
        if new_lines or complete_through is not None:
            oldest, newest = connection.execute(text(_SPAN), {"lines": sorted(new_lines)}).one()
            done = UsageImport(
                len(ids), len(new_lines), len(ids) - len(new_lines), oldest, newest, complete_through, received_at, ""
            )
            record_import(connection, source, done)
    refused = {problem.line: problem for problem in reversed(problems.first)}
    found = []
    for line in range(1, len(events) + 1):
        problem = refused.get(line)
        if problem is None:
            status: Literal["stored", "known"] = "stored" if line in new_lines else "known"
            found.append(IngestedEvent(line - 1, ids[line], status))
        else:
            found.append(
                IngestedEvent(line - 1, ids.get(line), "refused", problem.field, problem.value, problem.expected)
            )
    return Ingested(received_at, found)


# of an event that the call names twice the first row was stored
_NEW = """
SELECT min(s.line)
FROM pg_temp.staged_usage AS s INNER JOIN billing.usage_events AS e USING (event_id)
WHERE e.received_at = :received_at
GROUP BY s.event_id
"""
_SPAN = """
SELECT min(occurred_at) FILTER (WHERE line = ANY(:lines)), max(occurred_at) FROM pg_temp.staged_usage
"""
