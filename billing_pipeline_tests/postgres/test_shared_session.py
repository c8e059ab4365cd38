"""One session holds the locks of many threads, as strictly as one session each would."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.postgres.session_lock import is_locked, session_lock
from billing_pipeline.postgres.shared_session import SessionLost, SharedSession
from billing_pipeline.postgres.warehouse import Warehouse


@pytest.fixture
def other(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@pytest.fixture
def session(warehouse: Warehouse) -> Iterator[SharedSession]:
    opened = SharedSession(warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
    yield opened
    opened.close()


def test_a_session_holds_many_locks_and_gives_each_back_by_itself(session: SharedSession, other: Connection) -> None:
    with ExitStack() as first:
        assert first.enter_context(session.lock(1))
        with session.lock(2) as got:
            assert got
            assert [is_locked(other, key) for key in (1, 2, 3)] == [True, True, False]
        assert [is_locked(other, key) for key in (1, 2)] == [True, False]
    assert not is_locked(other, 1)


def test_a_lock_is_one_threads_though_the_session_could_have_it_twice(
    session: SharedSession, other: Connection
) -> None:
    with session.lock(1) as first:
        with session.lock(1) as second:
            assert (first, second) == (True, False)
        assert is_locked(other, 1)
    with session.lock(1) as again:
        assert again


def test_a_lock_of_another_session_is_not_got(session: SharedSession, other: Connection) -> None:
    with session_lock(other, 1), session.lock(1) as got:
        assert not got


def test_a_session_that_has_ended_serves_nobody_again(session: SharedSession, other: Connection) -> None:
    with session.lock(1) as got:
        assert got
        with session.turn() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.execute(text("SET ROLE NONE"))
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(DBAPIError), session.turn() as connection:
            connection.execute(text("SELECT 1"))
        with pytest.raises(SessionLost), session.turn():
            pass
    assert session.is_lost
    with pytest.raises(SessionLost), session.lock(2):
        pass
