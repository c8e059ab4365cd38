"""Postgres: the engine, SQL files, and the replacement of a month's rows in one transaction. Bulk COPY: arrow_copy.

What a month consists of is written in sql/; no rule of billing belongs here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, cast

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError

from billing_pipeline.settings import ROOT, Settings, SettingsError

SQL_FOLDER = ROOT / "sql"


@dataclass(frozen=True)
class Warehouse:
    """A connection pool to the billing database, and Dagster's storage beside it."""

    engine: Engine
    dagster_url: URL
    keep_alive: object = None
    """The handle that keeps an embedded server running."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on any exception."""
        with self.engine.begin() as connection:
            yield connection

    def rows(self, statement: str, /, **parameters: object) -> list[dict[str, Any]]:
        """All rows of a query as dictionaries. `numeric` arrives as Decimal."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement), parameters).mappings()]

    def scalar(self, statement: str, /, **parameters: object) -> Any:
        """First column of the first row, None without rows."""
        with self.engine.connect() as connection:
            return connection.execute(text(statement), parameters).scalar()


def open_warehouse(settings: Settings) -> Warehouse:
    """Connect as configured; without BILLING_DATABASE_URL start or join the embedded server.

    Raises:
        SettingsError: the URL is no PostgreSQL URL, or the server is older than 15 or does not answer.
    """
    server = None
    if settings.postgres.database_url is None:
        from billing_pipeline.postgres import embedded_postgres

        try:
            settings.state_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"BILLING_STATE_DIR: {settings.state_dir} cannot be made: {error.strerror}") from None
        server = embedded_postgres.start(settings.state_dir / "postgres")
        url = embedded_postgres.database_url(server, "billing")
    else:
        url = _postgres_url("BILLING_DATABASE_URL", settings.postgres.database_url).set(drivername="postgresql+psycopg")
    if settings.postgres.dagster_url is not None:
        dagster_url = _postgres_url("DAGSTER_POSTGRES_URL", settings.postgres.dagster_url)
    elif server is not None:
        dagster_url = embedded_postgres.database_url(server, "dagster")
    else:
        dagster_url = url.set(database="dagster")
    engine = create_engine(url, pool_size=5, max_overflow=30, connect_args={"options": "-c timezone=UTC"})
    _require_version(engine)
    if server is None and settings.postgres.dagster_url is None:
        _ensure_database(engine, str(dagster_url.database))
    return Warehouse(engine, dagster_url.set(drivername="postgresql+psycopg2"), server)


def _postgres_url(name: str, value: str) -> URL:
    try:
        url = make_url(value)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(f"{name}: not a URL, expected postgresql://user@host/database") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(f"{name}: expected a postgresql:// URL, got {url.get_backend_name()}://")
    return url


def _require_version(engine: Engine) -> None:
    try:
        with engine.connect() as connection:
            version = connection.execute(text("SHOW server_version_num")).scalar_one()
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise SettingsError(f"the billing database does not answer: {reason}") from None
    if int(version) < 150000:
        raise SettingsError(f"PostgreSQL {int(version) // 10000} is too old: 15 or later is needed")


def _ensure_database(engine: Engine, name: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).scalar():
            return
        try:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        except ProgrammingError as error:
            if isinstance(error.orig, psycopg.errors.DuplicateDatabase):
                return  # another process was quicker
            reason = str(error.orig).strip().splitlines()[0]
            raise SettingsError(
                f"Dagster's database {name} cannot be created ({reason}): create it, or set DAGSTER_POSTGRES_URL"
            ) from None
        except IntegrityError:
            return  # the same, at the same moment


def require_dagster_storage(url: URL) -> None:
    """Connect once to Dagster's storage; Dagster itself would try for half a minute and end in a traceback.

    Raises:
        SettingsError: it does not answer.
    """
    try:
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        psycopg.connect(plain, connect_timeout=10).close()
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise SettingsError(f"DAGSTER_POSTGRES_URL: Dagster's storage does not answer: {reason}") from None


@cache
def load_sql(path: str) -> str:
    """The text of a file below sql/, such as `invoicing/invoices.sql`."""
    return (SQL_FOLDER / path).read_text(encoding="utf-8")


def raw(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection under a SQLAlchemy one, for COPY."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


@contextmanager
def each_by_itself(connection: Connection) -> Iterator[Connection]:
    """Each statement of the block commits by itself: one round trip instead of three. No transaction may be open."""
    connection.execution_options(isolation_level="AUTOCOMMIT")
    try:
        yield connection
    finally:
        connection.rollback()  # of nothing: SQLAlchemy keeps its own account
        if not connection.invalidated:
            connection.execution_options(isolation_level=connection.default_isolation_level)


def lock_month(connection: Connection, month: date) -> None:
    """Wait for, then hold, the month until the end of the transaction: one builder or charger at a time."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('billing month'), :month - date '1970-01-01')"), {"month": month}
    )


@contextmanager
def joined_in_bulk(connection: Connection) -> Iterator[None]:
    """Within it, the transaction joins whole sets (hash, merge) and never looks rows up one by one.

    A month's rows are seconds old when the next build reads them, and statistics know nothing of them: the planner
    takes them for a handful, and would compare half a million rows with half a million by nested loops.
    """
    connection.execute(text("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"))
    yield
    connection.execute(text("SET LOCAL enable_nestloop = on"))


@dataclass(frozen=True)
class Change:
    """What replacing a month's rows did."""

    inserted: int
    deleted: int


def replace_rows(
    connection: Connection,
    table: str,
    built: str,
    scope: str,
    parameters: Mapping[str, object],
    *,
    key: Sequence[str],
    ignore: Sequence[str] = ("run_id",),
) -> Change:
    """Make the rows of `table` in `scope` equal to those of `built`, touching only those that differ.

    Args:
        connection: an open transaction.
        table: `billing.<asset>`.
        built: a SELECT of the wanted rows, with the table's column names; or the name of a table of them.
        scope: condition on the table's rows that may be replaced (alias `t`).
        parameters: values of the named parameters in `built` and `scope`.
        key: columns that identify a row.
        ignore: columns that may differ without making the row another one.
    """
    columns = _writable_columns(connection, table)
    never_null = {name for name in key if not columns[name]}
    names = ", ".join(columns)
    with joined_in_bulk(connection):
        existing = connection.execute(text(f"SELECT EXISTS (SELECT FROM {table} AS t WHERE {scope})"), parameters)
        if not existing.scalar():
            result = connection.execute(
                text(f"INSERT INTO {table} ({names}) SELECT {names} FROM ({built}) AS b"), parameters
            )
            return Change(result.rowcount, 0)
        connection.execute(text("DROP TABLE IF EXISTS pg_temp.built, pg_temp.gone"))
        connection.execute(
            text(f"CREATE TEMP TABLE built ON COMMIT DROP AS SELECT {names} FROM ({built}) AS b"), parameters
        )
    connection.execute(text("ANALYZE pg_temp.built"))

    def matched(other: str, compared: Iterable[str]) -> str:
        # only `=` can be hashed, and it loses rows whose key has a null
        return " AND ".join(
            f"t.{name} {'=' if name in never_null else 'IS NOT DISTINCT FROM'} {other}.{name}" for name in compared
        )

    same = matched("b", (name for name in columns if name not in ignore))
    keys = ", ".join(f"t.{name}" for name in key)
    with joined_in_bulk(connection):
        connection.execute(
            text(
                f"CREATE TEMP TABLE gone ON COMMIT DROP AS SELECT {keys} FROM {table} AS t"
                f" WHERE {scope} AND NOT EXISTS (SELECT FROM pg_temp.built AS b WHERE {same})"
            ),
            parameters,
        )
    match = matched("g", key)
    deleted = connection.execute(text(f"DELETE FROM {table} AS t USING pg_temp.gone AS g WHERE {match}")).rowcount
    by_key = matched("b", key)
    inserted = connection.execute(
        text(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM pg_temp.built AS b"
            f" WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {by_key})"
        )
    ).rowcount
    return Change(inserted, deleted)


def _writable_columns(connection: Connection, table: str) -> dict[str, bool]:
    """Whether each column may be null."""
    schema, name = table.split(".")
    found = connection.execute(
        text(
            "SELECT column_name, is_nullable FROM information_schema.columns"
            " WHERE table_schema = :schema AND table_name = :name"
            " AND is_generated = 'NEVER' ORDER BY ordinal_position"
        ),
        {"schema": schema, "name": name},
    )
    return {str(row.column_name): row.is_nullable == "YES" for row in found}


def sql_files(folder: str) -> list[Path]:
    """The .sql files of a folder below sql/, in order of their names."""
    return sorted((SQL_FOLDER / folder).glob("*.sql"))
