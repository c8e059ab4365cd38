"""Idempotency keys as Stripe keeps them (https://docs.stripe.com/api/idempotent_requests).

A key is kept for 24 hours by the emulator's clock. What is stored is the answer of a request that began to
execute, whatever its status; requests refused before that (parameters, rate limit, authentication) leave no
trace.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from dataclasses import dataclass
from urllib.parse import parse_qsl

from .errors import StripeError

KEPT_S = 86_400
KEY_MAX = 255


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to the key's first request."""

    status: int
    body: str
    request_id: str


def fingerprint(encoded: str) -> str:
    """Equal for requests with the same parameters, whatever their order."""
    pairs = sorted(parse_qsl(encoded, keep_blank_values=True))
    return hashlib.sha256(repr(pairs).encode()).hexdigest()


def look_up(connection: sqlite3.Connection, key: str, endpoint: str, prints: str, now: float) -> Stored | None:
    """The stored answer, or None if this request is the first with its key.

    Raises 400 idempotency_error for other parameters or another endpoint, and 409 while the first one is
    executing.
    """
    row = connection.execute(
        "SELECT created, fingerprint, endpoint, request_id, status, body, holder_pid FROM idempotency_keys"
        " WHERE key = ?",
        (key,),
    ).fetchone()
    if row is None:
        return None
    created, known_prints, known_endpoint, request_id, status, body, pid = row
    abandoned = status is None and not _alive(pid)
    if created <= now - KEPT_S or abandoned:
        forget(connection, key)
        return None
    if endpoint != known_endpoint:
        raise StripeError(
            400,
            "idempotency_error",
            "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{known_endpoint}' in this case and not '{endpoint}'). Try using a key other than '{key}' "
            "if you meant to execute a different request.",
        )
    if prints != known_prints:
        raise StripeError(
            400,
            "idempotency_error",
            "Keys for idempotent requests can only be used with the same parameters they were first used "
            f"with. Try using a key other than '{key}' if you meant to execute a different request.",
        )
    if status is None:
        raise StripeError(
            409,
            "invalid_request_error",
            "There is currently another in-progress request using this Idempotent Key (that probably means "
            f"you submitted twice, and the other request is still going through): {key}. Please try "
            "again later.",
            code="idempotency_key_in_use",
        )
    return Stored(status, body, request_id)


def reserve(connection: sqlite3.Connection, key: str, endpoint: str, prints: str, now: float, request_id: str) -> None:
    """Note that the first request with this key is executing; a process that dies frees its keys."""
    connection.execute(
        "INSERT OR REPLACE INTO idempotency_keys(key, created, fingerprint, endpoint, request_id, holder_pid)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (key, now, prints, endpoint, request_id, os.getpid()),
    )


def store(connection: sqlite3.Connection, key: str, status: int, body: str) -> None:
    """Keep the answer, in the transaction that holds the request's effects."""
    connection.execute("UPDATE idempotency_keys SET status = ?, body = ? WHERE key = ?", (status, body, key))


def forget(connection: sqlite3.Connection, key: str) -> None:
    """Drop a key: expired, or lost by a fault."""
    connection.execute("DELETE FROM idempotency_keys WHERE key = ?", (key,))


def release(connection: sqlite3.Connection, key: str) -> None:
    """Free a key whose request broke off; a stored answer stays."""
    connection.execute("DELETE FROM idempotency_keys WHERE key = ? AND status IS NULL", (key,))


def purge(connection: sqlite3.Connection, now: float) -> None:
    """Drop the keys whose time is over."""
    connection.execute("DELETE FROM idempotency_keys WHERE created <= ?", (now - KEPT_S,))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
