"""Usage events from a file into billing.usage_events: all or nothing, once each.

Here: staging, comparison with what is known, the cut-off. Not here: formats and cells (imports/files.py
and imports/rules/fields.py), corrections (correction.py).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.imports.files import BATCH_ROWS, ImportFile
from billing_pipeline.imports.problems import PROBLEMS_SHOWN, refused
from billing_pipeline.postgres.arrow_copy import copy_arrow_in
from billing_pipeline.postgres.locks import lock_usage
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.rules.fields import USAGE_FIELDS

ANALYZE_FROM_ROWS = 10_000

STAGE = """
CREATE TEMP TABLE staged_usage (
    line bigint NOT NULL, event_id text NOT NULL, customer_id text NOT NULL, meter text NOT NULL,
    dimensions jsonb NOT NULL, quantity numeric NOT NULL, occurred_at timestamptz NOT NULL, properties jsonb NOT NULL
) ON COMMIT DROP
"""

# The scale of a quantity is spelling: 1.50 and 1.5 are stored alike whatever the format.
INSERT = """
INSERT INTO billing.usage_events
(event_id, customer_id, meter, dimensions, quantity, occurred_at, received_at, properties)
SELECT
    event_id, customer_id, meter, dimensions, trim_scale(quantity), occurred_at, :received_at, nullif(properties, '{}')
FROM pg_temp.staged_usage
ORDER BY line
ON CONFLICT (event_id) DO NOTHING
"""

_OLDEST_NEW = """
SELECT min(e.occurred_at)
FROM pg_temp.staged_usage AS s INNER JOIN billing.usage_events AS e USING (event_id)
WHERE e.received_at = :received_at
"""


_COMPARED = ("customer_id", "meter", "dimensions", "quantity", "occurred_at", "properties")

_RECORD = """
INSERT INTO billing.usage_imports
(source, content_sha256, received_at, row_count, new_event_count, oldest_new_at, newest_at, complete_through)
VALUES (
    :source, :content_sha256, :received_at, :row_count, :new_event_count, :oldest_new_at, :newest_at,
    :complete_through
)
"""


@dataclass(frozen=True)
class UsageImport:
    """What an import of usage did: `rows` = `new_events` + `known_events` (stored before, or twice in the file).

    `repeated_rows`: rows with the event_id, and the content, of an earlier row of the file.

    `complete_through`: before this instant the feed is complete; None for a file without rows that declares
    nothing.
    """

    rows: int
    new_events: int
    known_events: int
    oldest_new_at: datetime | None
    newest_at: datetime | None
    complete_through: datetime | None
    received_at: datetime
    content_sha256: str
    repeated_rows: int = 0


def import_usage(
    warehouse: Warehouse,
    path: Path,
    complete_through: datetime | None = None,
    *,
    batch_rows: int = BATCH_ROWS,
) -> UsageImport:
    """Add a file's new events and record the import.

    The same event_id with the same content is one event. Without `complete_through` the feed counts as complete
    up to the newest event, but never beyond now: an event dated ahead must not vouch for usage still to come.

    Args:
        warehouse: the billing database.
        path: a .csv, .jsonl, .ndjson (each also .gz) or .parquet file.
        complete_through: the platform's word that all usage before this instant is in, in this file or before.
        batch_rows: rows held in memory at a time.

    Raises:
        ImportRefused: nothing was loaded; its text says which rows are why.
    """
    file = ImportFile(path, USAGE_FIELDS, batch_rows)
    with warehouse.transaction() as connection:
        if complete_through is not None:
            check_declared(connection, file.name, complete_through)
        connection.execute(text(STAGE))
        columns = ["line", *(field.name for field in USAGE_FIELDS)]
        copy_arrow_in(connection, "pg_temp.staged_usage", columns, file.tables())
        if file.problems.total:
            _add_conflicts(connection, file, None)
            file.problems.raise_if_any()
        return _store(connection, file, complete_through)


def check_declared(connection: Connection, file: str, complete_through: datetime) -> None:
    """Refuse a declared reach of the feed that has no offset, or lies ahead."""
    shown = complete_through.isoformat()
    if complete_through.utcoffset() is None:
        raise refused(file, "an instant with an offset", field="complete_through", value=shown)
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    if complete_through > now:
        raise refused(
            file, f"an instant that has passed ({now:%Y-%m-%dT%H:%M:%SZ})", field="complete_through", value=shown
        )


def _store(connection: Connection, file: ImportFile, complete_through: datetime | None) -> UsageImport:
    # A snapshot that fixes its cut-off waits for us: no event can appear later with a received_at before that cut-off.
    # The statements below see what another import added before we got the lock.
    lock_usage(connection)
    received_at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    at = {"received_at": received_at}
    new_events = connection.execute(text(INSERT), at).rowcount
    repeated = 0
    if new_events < file.row_count:
        _add_conflicts(connection, file, received_at)
        file.problems.raise_if_any()
        distinct = text("SELECT count(DISTINCT event_id) FROM pg_temp.staged_usage")
        repeated = file.row_count - connection.execute(distinct).scalar_one()
    extremes = text("SELECT min(occurred_at), max(occurred_at) FROM pg_temp.staged_usage")
    oldest_at, newest_at = connection.execute(extremes).one()
    if new_events == 0:
        oldest_at = None
    elif new_events < file.row_count:
        oldest_at = connection.execute(text(_OLDEST_NEW), at).scalar_one()
    if complete_through is None and newest_at is not None:
        complete_through = min(newest_at, received_at)
    done = UsageImport(
        file.row_count,
        new_events,
        file.row_count - new_events,
        oldest_at,
        newest_at,
        complete_through,
        received_at,
        file.sha256,
        repeated,
    )
    record_import(connection, file.name, done)
    if new_events >= ANALYZE_FROM_ROWS:
        # with the old statistics the planner would read whole tables where it should use an index
        connection.execute(text("SELECT billing.analyze_usage()"))
    return done


def record_import(connection: Connection, source: str, done: UsageImport) -> None:
    """Write the row of billing.usage_imports that tells months which of them an import touched."""
    connection.execute(
        text(_RECORD),
        {
            "source": source,
            "content_sha256": done.content_sha256 or None,
            "received_at": done.received_at,
            "row_count": done.rows,
            "new_event_count": done.new_events,
            "oldest_new_at": done.oldest_new_at,
            "newest_at": done.newest_at,
            "complete_through": done.complete_through,
        },
    )


def _add_conflicts(connection: Connection, file: ImportFile, received_at: datetime | None) -> None:
    """Rows that give an event_id a second content. `received_at`: of this import, if its rows are inserted."""
    connection.execute(text("ANALYZE pg_temp.staged_usage"))
    connection.execute(text("SET LOCAL work_mem = '64MB'"))
    parameters = {"received_at": received_at, "shown": PROBLEMS_SHOWN}
    found = connection.execute(text(load_sql("usage/import_conflicts.sql")), parameters).mappings().all()
    for row in found:
        file.problems.add(row["line"], "event_id", row["event_id"], different_content(dict(row)))
    if found:
        file.problems.count_more(found[0]["total"] - len(found))


def different_content(row: dict[str, Any]) -> str:
    """What a row of sql/usage/import_conflicts.sql was expected to be, and where it differs."""
    like = "the stored event" if row["first_line"] is None else f"line {row['first_line']}"
    differences = [
        f"{name} {expected}, found {found}"
        for name, expected, found in zip(_COMPARED, row["expected"], row["found"], strict=True)
        if expected != found
    ]
    return f"the content of {like}: {'; '.join(differences)}"
