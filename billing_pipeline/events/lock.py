"""The lock of an object of Stripe's: who holds it may ask for the object and write what it says."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.postgres.connections import each_by_itself


def object_key(kind: str, object_id: str) -> int:
    """The 64-bit advisory lock of an object of Stripe's."""
    return int.from_bytes(sha256(f"event:{kind}:{object_id}".encode()).digest()[:8], "big", signed=True)


@contextmanager
def locked(connection: Connection, key: int) -> Iterator[bool]:
    """The right to ask for an object and write what it says, held by the session; False: another process has it."""
    got = _alone(connection, "SELECT pg_try_advisory_lock(:key)", key)
    try:
        yield bool(got)
    finally:
        if got and not connection.invalidated:
            try:
                connection.rollback()
                _alone(connection, "SELECT pg_advisory_unlock(:key)", key)
            except DBAPIError:
                # a connection that may still hold the lock must not go back to the pool
                connection.invalidate()


def _alone(connection: Connection, statement: str, key: int) -> Any:
    with each_by_itself(connection):
        return connection.execute(text(statement), {"key": key}).scalar_one()
