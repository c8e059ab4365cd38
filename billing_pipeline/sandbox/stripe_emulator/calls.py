"""The log of API calls that the harnesses read: bounded, and written after the answer is decided."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dispatch import Answer, Call

TRIM_EVERY = 1_000
COLUMNS = ("at", "method", "path", "idempotency_key", "request_id", "status", "replayed", "fault", "seconds")


def record(connection: sqlite3.Connection, keep_max: int, call: Call, answer: Answer, fired: list[str]) -> None:
    """Add one call; a dropped connection has no status."""
    cursor = connection.execute(
        f"INSERT INTO calls({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            time.time(),
            call.method,
            call.path,
            call.key,
            call.request_id,
            answer.status,
            int(answer.replayed),
            ",".join(fired) or None,
            time.perf_counter() - call.started,
        ),
    )
    last = int(cursor.lastrowid or 0)
    if last % TRIM_EVERY == 0:
        connection.execute("DELETE FROM calls WHERE call_id <= ?", (last - keep_max,))


def listed(connection: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """The newest calls, oldest first."""
    rows = connection.execute(
        f"SELECT {', '.join(COLUMNS)} FROM calls ORDER BY call_id DESC LIMIT ?", (limit,)
    ).fetchall()
    return [dict(zip(COLUMNS, row, strict=True)) | {"replayed": bool(row[6])} for row in reversed(rows)]
