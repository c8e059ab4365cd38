"""What became of events, for somebody who looks: those of one run, and those that were given up. Changes nothing."""

from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def processed_by_type(warehouse: Warehouse, run_id: str) -> list[dict[str, Any]]:
    """What the run processed: type, outcome, events. The most frequent first."""
    return warehouse.rows(load_sql("events/processed_by_type.sql"), run_id=run_id)


def processed(warehouse: Warehouse, run_id: str, row_count: int) -> list[dict[str, Any]]:
    """The last events that the run processed: received_at, type, object_id, outcome, last_error, event_id."""
    return warehouse.rows(load_sql("events/processed.sql"), run_id=run_id, row_count=row_count)


def given_up(warehouse: Warehouse, row_count: int) -> tuple[int, list[dict[str, Any]]]:
    """How many events wait for a replay, and the last of them: event_id, type, object_id, last_error, received_at."""
    rows = warehouse.rows(load_sql("events/given_up.sql"), row_count=row_count)
    return int(rows[0]["in_all"]) if rows else 0, [{k: v for k, v in row.items() if k != "in_all"} for row in rows]
