"""One API call and its answer, and the log of them that harnesses read.

The log is bounded, and written after the answer is decided.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .store import new_id

TRIM_EVERY = 1_000
COLUMNS = ("at", "method", "path", "idempotency_key", "request_id", "status", "replayed", "fault", "seconds")


@dataclass(slots=True)
class Call:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]
    request_id: str = field(default_factory=lambda: new_id("req", 14))
    started: float = field(default_factory=time.perf_counter)
    recorded: bool = False

    @property
    def key(self) -> str | None:
        """The idempotency key; Stripe ignores it on anything but POST."""
        return self.headers.get("idempotency-key") if self.method == "POST" else None

    @property
    def encoded(self) -> str:
        """The form-encoded parameters, wherever the method carries them."""
        text = self.body.decode("utf-8", "replace")
        return "&".join(part for part in (self.query, text) if part)


@dataclass(slots=True)
class Answer:
    """What goes back; ``status`` None means that the connection is closed without an answer."""

    status: int | None
    body: str = ""
    original_request: str | None = None
    replayed: bool = False


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
