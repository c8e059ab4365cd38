"""Dagster's instance on its own database, whose tables are made whole or made anew."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg
from sqlalchemy import make_url

from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.engine import require_dagster_storage
from billing_pipeline.postgres.locks import DAGSTER_STORAGE_LOCK
from billing_pipeline.settings import load_settings
from billing_pipeline.settings.dagster_home import dagster_home

_BEING_MADE = "storage_being_made"
CONNECTION_KEPT_S = 2
"""Long enough for the events of a step, and so short that none is left of before a failover."""
_CONNECTIONS_AT_ONCE_MAX = 20


@contextmanager
def dagster_instance(dagster_postgres_url: str) -> Iterator[dg.DagsterInstance]:
    """The instance of dagster.yaml on this database.

    Raises:
        SettingsError: the database does not answer.
    """
    require_dagster_storage(make_url(dagster_postgres_url))
    os.environ["DAGSTER_POSTGRES_URL"] = dagster_postgres_url
    if "DAGSTER_HOME" not in os.environ:
        os.environ["DAGSTER_HOME"] = str(dagster_home(load_settings().state_dir))
    make_storage(dagster_postgres_url)
    with dg.DagsterInstance.get() as instance, _keeping_connections(instance):
        yield instance


@contextmanager
def _keeping_connections(instance: dg.DagsterInstance) -> Iterator[None]:
    """By itself Dagster connects anew for each statement: six hundred times for a month, a quarter of what it costs."""
    instance.optimize_for_webserver(
        statement_timeout=0, pool_recycle=CONNECTION_KEPT_S, max_overflow=_CONNECTIONS_AT_ONCE_MAX - 1
    )
    try:
        yield
    finally:
        for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            storage._engine.dispose()  # type: ignore[union-attr]  # what nobody closes stays open as long as the process


def make_storage(url: str) -> None:
    """Make Dagster's tables where they are missing; two processes that both try would fail in each other's way.

    Dagster makes them one by one, each for good, and takes them all for granted as soon as the first is there. So a
    table of ours stands beside them while they are made: who finds it finds what another one was killed at, and makes
    them anew. Nothing is lost with them: no run can be recorded in a part of them.
    """
    with psycopg.connect(libpq_url(make_url(url)), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [DAGSTER_STORAGE_LOCK])
        was_begun = _exists(connection, _BEING_MADE)
        if _exists(connection, "runs") and not was_begun:
            return
        from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

        connection.execute(f"CREATE TABLE IF NOT EXISTS {_BEING_MADE} ()".encode())
        storages = (PostgresRunStorage, PostgresEventLogStorage, PostgresScheduleStorage)
        if was_begun:  # all go before the first is made: they share a table
            for storage in storages:
                storage.create_clean_storage(url, should_autocreate_tables=False).dispose()
        for storage in storages:
            storage(url).dispose()
        connection.execute(f"DROP TABLE {_BEING_MADE}".encode())


def _exists(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
    return bool(row and row[0])
