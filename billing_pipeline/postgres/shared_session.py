"""One database session for any number of threads: it holds all their locks, and runs one statement at a time.

So as many calls to others may be under way as their latency asks for, on few connections.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy import Connection

from billing_pipeline.postgres.session_lock import give_back, take


class SessionLost(RuntimeError):  # noqa: N818 - reads as what happened
    """The session has ended, and every lock with it. It is never opened again: another would hold none of them."""


class SharedSession:
    """A connection in autocommit mode that threads use in turns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._in_turn = Lock()
        self._keys: set[int] = set()

    @property
    def is_lost(self) -> bool:
        """Whether the session has ended."""
        return self._connection.invalidated or self._connection.closed

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    @contextmanager
    def turn(self) -> Iterator[Connection]:
        """The connection, for statements that nobody else's come between; never while others than Postgres are called.

        Raises:
            SessionLost: another thread has found the session ended.
        """
        with self._in_turn:
            if self.is_lost:
                raise SessionLost("the session has ended, and its locks with it")
            yield self._connection

    @contextmanager
    def lock(self, key: int) -> Iterator[bool]:
        """The advisory lock, until the end of the block; False: somebody has it, another thread here included.

        Raises:
            SessionLost: before it could be taken.
        """
        with self.turn() as connection:
            # Postgres would give a session the same lock twice
            got = key not in self._keys and take(connection, key)
            if got:
                self._keys.add(key)
        try:
            yield got
        finally:
            if got:
                with self._in_turn:
                    self._keys.discard(key)
                    if not self.is_lost:
                        give_back(self._connection, key)
