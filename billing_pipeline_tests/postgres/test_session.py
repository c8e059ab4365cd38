"""Other people's servers: what the code relies on holds on every connection, and what will not do is one line."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL, QueuePool, text

from billing_pipeline.postgres import engine as engine_module
from billing_pipeline.postgres.engine import open_engine, open_warehouse
from billing_pipeline.postgres.session import RELIED_ON
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.postgres.worker_pool import work_through
from billing_pipeline.settings import SettingsError, load_settings
from billing_pipeline_tests.month_rows import execute

ODD = {
    "TimeZone": "'America/St_Johns'",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'sql_standard'",
    "search_path": "'nowhere'",
    "statement_timeout": "'20ms'",
    "lock_timeout": "'20ms'",
    "standard_conforming_strings": "off",
    "synchronous_commit": "off",
    "default_transaction_isolation": "'serializable'",
}


@pytest.fixture
def odd(warehouse: Warehouse) -> Warehouse:
    """A database whose owner set everything otherwise."""
    _alter(warehouse, **ODD)
    return warehouse


def _alter(warehouse: Warehouse, **values: str) -> None:
    for name, value in values.items():
        execute(warehouse, f"ALTER DATABASE {warehouse.engine.url.database} SET {name} = {value}")


def _as_login(warehouse: Warehouse, statement: str) -> None:
    """What no transaction may be around."""
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET ROLE NONE"))
        connection.execute(text(statement))
        connection.invalidate()


@contextmanager
def _opened(url: URL, connections: int = 10) -> Iterator[Warehouse]:
    engine = open_engine(url, connections)
    try:
        yield Warehouse(engine, url)
    finally:
        engine.dispose()


def test_what_the_code_relies_on_holds_whatever_the_server_says(odd):
    with _opened(odd.engine.url) as opened:
        values = {name: opened.scalar(f"SELECT current_setting('{name}')") for name in RELIED_ON}
        assert values == RELIED_ON
        assert opened.scalar("SELECT current_setting('synchronous_commit')") == "on"
        [row] = opened.rows("SELECT timestamptz '2026-03-04T05:06:07Z' AS at, date '2026-03-04' AS day")
        assert row["at"] == datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
        assert row["at"].utcoffset() == row["at"].replace(month=7).utcoffset()
        assert row["day"].isoformat() == "2026-03-04"


def test_a_servers_limit_for_short_queries_does_not_cut_a_build_off(odd):
    with _opened(odd.engine.url) as opened:
        assert opened.scalar("SELECT 1 FROM pg_sleep(0.1)") == 1


def test_a_rolled_back_transaction_takes_none_of_the_settings_with_it(odd):
    with _opened(odd.engine.url, 4) as opened, opened.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        connection.rollback()
        assert connection.execute(text("SHOW TimeZone")).scalar() == "UTC"


def test_options_of_the_users_url_are_kept(odd):
    url = odd.engine.url.update_query_dict(
        {"options": "-c work_mem=7MB --statement-timeout=4321 -c timezone=Asia/Tokyo"}
    )
    with _opened(url) as opened:
        shown = [
            opened.scalar(f"SHOW {name}") for name in ("work_mem", "statement_timeout", "lock_timeout", "TimeZone")
        ]
    assert shown == ["7MB", "4321ms", "0", "UTC"]


def test_a_read_only_server_is_refused_in_one_line(warehouse):
    _alter(warehouse, default_transaction_read_only="on")
    with pytest.raises(SettingsError, match=r"^the billing database is read-only \(a replica\?\).*\Z"):
        open_engine(warehouse.engine.url)


def test_a_session_in_which_no_trigger_would_fire_is_refused(warehouse):
    _alter(warehouse, session_replication_role="replica")
    with pytest.raises(SettingsError, match="session_replication_role"):
        open_engine(warehouse.engine.url)


def test_a_database_of_another_encoding_is_refused_in_one_line(warehouse):
    name = f"latin_{uuid4().hex[:8]}"
    _as_login(warehouse, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with pytest.raises(SettingsError, match="has the encoding LATIN1: expected UTF8"):
            open_engine(warehouse.engine.url.set(database=name))
    finally:
        _as_login(warehouse, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def five(warehouse: Warehouse) -> Iterator[URL]:
    """The database for a role that may have five connections to it."""
    role = f"five_{uuid4().hex[:8]}"
    execute(warehouse, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 5 IN ROLE billing_pipeline")
    yield warehouse.engine.url.set(username=role)
    execute(warehouse, f"DROP ROLE {role}")


def _pool(opened: Warehouse) -> QueuePool:
    assert isinstance(opened.engine.pool, QueuePool)
    return opened.engine.pool


def test_a_process_takes_no_more_connections_than_the_server_allows(five):
    with _opened(five) as opened:
        assert _pool(opened).size() == 4
        assert opened.threads(24) == 1
        with opened.engine.connect(), opened.engine.connect(), opened.engine.connect(), opened.engine.connect():
            pass


def test_threads_wait_for_a_connection_that_another_one_gives_back(five):
    with _opened(five) as opened:
        threads = [threading.Thread(target=opened.scalar, args=["SELECT 1 FROM pg_sleep(0.05)"]) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert _pool(opened).checkedin() == 4


def _fill(five: URL) -> list[psycopg.Connection]:
    plain = five.set(drivername="postgresql").render_as_string(hide_password=False)
    return [psycopg.connect(plain) for _ in range(5)]


def test_a_server_that_is_full_is_waited_for(five):
    others = _fill(five)

    def leave() -> None:
        time.sleep(0.7)
        for other in others:
            other.close()

    leaving = threading.Thread(target=leave)
    leaving.start()
    with _opened(five) as opened:
        assert opened.scalar("SELECT 1") == 1
    leaving.join()


def test_a_server_that_stays_full_is_one_line(five, monkeypatch):
    monkeypatch.setattr(engine_module, "FREE_WITHIN_S", 0.6)
    monkeypatch.setenv("BILLING_DATABASE_URL", five.render_as_string(hide_password=False))
    others = _fill(five)
    try:
        with pytest.raises(SettingsError, match=r"does not answer: .*too many connections for role") as caught:
            open_warehouse(load_settings())
        assert "\n" not in str(caught.value)
    finally:
        for other in others:
            other.close()


def test_a_thread_for_which_the_server_has_no_connection_leaves_the_work_to_the_others(five, monkeypatch):
    monkeypatch.setattr(engine_module, "FREE_WITHIN_S", 0.2)
    with _opened(five) as opened:
        others = _fill_but(five, 2)

        @contextmanager
        def worker():
            with opened.engine.connect() as connection:
                yield lambda item: connection.execute(
                    text("SELECT :item + 0 FROM pg_sleep(0.1)"), {"item": item}
                ).scalar()

        done = work_through(range(20), worker, workers=4, stop=threading.Event(), progress=print)
        for other in others:
            other.close()
    assert sorted(done) == list(range(20))


def _fill_but(five: URL, free: int) -> list[psycopg.Connection]:
    plain = five.set(drivername="postgresql").render_as_string(hide_password=False)
    return [psycopg.connect(plain) for _ in range(5 - free)]


@pytest.mark.parametrize("value", ["3", "0", "many"])
def test_too_few_connections_for_a_build_are_refused(monkeypatch, value):
    monkeypatch.setenv("BILLING_DATABASE_CONNECTIONS", value)
    with pytest.raises(SettingsError, match="BILLING_DATABASE_CONNECTIONS"):
        load_settings()


def test_the_setting_says_how_many_connections_a_process_takes(warehouse, monkeypatch):
    monkeypatch.setenv("BILLING_DATABASE_URL", warehouse.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://nobody@nowhere/dagster")
    monkeypatch.setenv("BILLING_DATABASE_CONNECTIONS", "6")
    opened = open_warehouse(load_settings())
    assert _pool(opened).size() == 6
    assert opened.threads(24) == 3
    opened.engine.dispose()
