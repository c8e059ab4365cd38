"""An advisory lock that a session holds without a transaction: for work that calls others in between.

The keys are in locks.py. A lock that lasts no longer than a transaction is taken where it is needed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.postgres.connections import each_by_itself


@contextmanager
def session_lock(connection: Connection, key: int) -> Iterator[bool]:
    """The lock, until the end of the block; False: another session has it, and it is not waited for.

    No transaction may be open on the connection at the beginning; one that is left open is rolled back at the end.
    """
    got = take(connection, key)
    try:
        yield got
    finally:
        if got and not connection.invalidated:
            give_back(connection, key)


def take(connection: Connection, key: int) -> bool:
    """Take the lock, to be given back; False: another session has it. A session may take the same lock twice."""
    return _alone(connection, "SELECT pg_try_advisory_lock(:key)", key)


def give_back(connection: Connection, key: int) -> None:
    """Give the lock back; a transaction that was left open is rolled back."""
    try:
        connection.rollback()
        _alone(connection, "SELECT pg_advisory_unlock(:key)", key)
    except DBAPIError:
        # a connection that may still hold the lock must not go back to the pool
        connection.invalidate()


def is_locked(connection: Connection, key: int) -> bool:
    """Whether any session holds the lock. It is only looked at, so nobody finds it taken because of that."""
    return bool(connection.execute(text(_HELD), {"key": key}).scalar_one())


def _alone(connection: Connection, statement: str, key: int) -> bool:
    """In a transaction of its own, whatever the connection does otherwise."""
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return bool(connection.execute(text(statement), {"key": key}).scalar_one())
    with each_by_itself(connection):
        return bool(connection.execute(text(statement), {"key": key}).scalar_one())


# a bigint key shows in pg_locks as its two halves
_HELD = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (CAST(classid AS bigint) << 32 | CAST(objid AS bigint)) = :key
)
"""
