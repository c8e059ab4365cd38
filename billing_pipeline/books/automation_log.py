"""The audit log as a reader filters it. Changes nothing."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries; None: any. `month`: what happened to a month or an invoice of it; `until` is exclusive."""

    actor: str | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    month: date | None = None
    since: datetime | None = None
    until: datetime | None = None


LOG_COLUMNS = (
    *("log_id", "logged_at", "actor", "run_id", "action", "object_type", "object_id", "reason"),
    *("state_before", "state_after"),
)
_AT_ONCE = 1000


def read_log(
    warehouse: Warehouse, wanted: LogFilter, *, after: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Entries, the newest first; `after`: those older than the entry of this log_id."""
    statement = load_sql("books/automation_log.sql")
    return warehouse.rows(statement, **asdict(wanted), after=after, row_limit=limit)


def whole_log(warehouse: Warehouse, wanted: LogFilter) -> Iterator[dict[str, Any]]:
    """All entries, the newest first, read as they are asked for."""
    after: int | None = None
    while rows := read_log(warehouse, wanted, after=after, limit=_AT_ONCE):
        yield from rows
        after = rows[-1]["log_id"]
