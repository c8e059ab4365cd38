"""Database sessions that run at once, each statement in a thread of its own, and proof that one waits for another."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.postgres.invariants.rows import reason_of

T = TypeVar("T")
PATIENCE_S = 20.0


class Session:
    """One connection with an open transaction whose snapshot, if its isolation level has one, is already taken."""

    def __init__(self, warehouse: Warehouse, isolation_level: str = "READ COMMITTED") -> None:
        self._warehouse = warehouse
        self._thread = ThreadPoolExecutor(1)
        self._connection = warehouse.engine.connect().execution_options(isolation_level=isolation_level)
        self._pid = self._connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

    def do(self, action: Callable[[Connection], T]) -> T:
        """Do it and wait for the end."""
        return self.begin(action).result(PATIENCE_S)

    def begin(self, action: Callable[[Connection], T]) -> "Future[T]":
        """Start doing it."""
        return self._thread.submit(action, self._connection)

    def waits(self, action: Callable[[Connection], T]) -> "Future[T]":
        """Start doing it and return once the server reports that it waits for a lock of another session."""
        future = self.begin(action)
        for _ in range(int(PATIENCE_S / 0.02)):
            wait([future], timeout=0.02)
            assert not future.done(), f"did not wait for anybody: {future.exception() or 'it got through'}"
            if self._warehouse.scalar("SELECT cardinality(pg_blocking_pids(:pid)) > 0", pid=self._pid):
                return future
        raise AssertionError("neither done nor waiting")

    def commit(self) -> None:
        """Commit in the session's thread."""
        self.do(lambda connection: connection.commit())

    def rollback(self) -> None:
        """Roll back in the session's thread."""
        self.do(lambda connection: connection.rollback())

    def close(self) -> None:
        """Roll back whatever is open."""
        self._connection.invalidate() if self._busy() else self._connection.close()
        self._thread.shutdown()

    def _busy(self) -> bool:
        done = self._thread.submit(lambda: None)
        wait([done], timeout=PATIENCE_S)
        return not done.done()


@contextmanager
def two_sessions(warehouse: Warehouse, isolation_level: str = "READ COMMITTED") -> Iterator[tuple[Session, Session]]:
    """Two sessions of one isolation level."""
    first, second = Session(warehouse, isolation_level), Session(warehouse, isolation_level)
    try:
        yield first, second
    finally:
        first.close()
        second.close()


def refusal(future: "Future[Any]") -> str:
    """Why the database refused what was begun."""
    error = future.exception(PATIENCE_S)
    assert isinstance(error, DBAPIError), f"got through: {error}"
    return reason_of(error)
