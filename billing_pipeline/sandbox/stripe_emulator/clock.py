"""The emulator's clock: the wall clock plus an offset in the database, so that all processes agree."""

from __future__ import annotations

import sqlite3
import time


def offset_s(connection: sqlite3.Connection) -> float:
    """Seconds the emulator is ahead of the wall clock."""
    row = connection.execute("SELECT value FROM settings WHERE name = 'clock_offset_s'").fetchone()
    return float(row[0]) if row else 0.0


def now(connection: sqlite3.Connection) -> float:
    """Unix time by the emulator's clock."""
    return time.time() + offset_s(connection)


def move(connection: sqlite3.Connection, *, to: float | None = None, advance_s: float = 0.0) -> float:
    """Set the clock to ``to`` (Unix time), or advance it; it goes on from there. Returns the new time."""
    current = offset_s(connection)
    offset = (to - time.time()) if to is not None else current + advance_s
    connection.execute("INSERT OR REPLACE INTO settings(name, value) VALUES ('clock_offset_s', ?)", (offset,))
    return time.time() + offset
