"""Opens the configured PostgreSQL, or the embedded one, and says in one line why it cannot."""

import logging
import time
from collections import deque
from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError

from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.errors import database_reason, is_full
from billing_pipeline.postgres.session import prepare
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings, SettingsError
from billing_pipeline.settings.environment import private_folder
from billing_pipeline.settings.postgres import CONNECTIONS, CONNECTIONS_MIN

FREE_WITHIN_S = 60.0
"""So long a connection is waited for: that another thread gives it back, or the server has room for one more."""
ASK_AGAIN_S = 0.5

# what it leaves behind when a connection broke is no second line beside the error that says so
logging.getLogger("psycopg").addHandler(logging.NullHandler())


def open_warehouse(settings: Settings) -> Warehouse:
    """Connect as configured; without BILLING_DATABASE_URL start or join the embedded server.

    Raises:
        SettingsError: the URL is no PostgreSQL URL, or the server does not answer or will not do.
    """
    server = None
    if settings.postgres.database_url is None:
        from billing_pipeline.postgres import embedded_postgres

        try:
            private_folder(settings.state_dir)
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
    try:
        engine = open_engine(url, settings.postgres.connections)
    except psycopg.Error as error:
        reason = database_reason(error)
        raise SettingsError(f"the billing database does not answer: {reason}") from None
    if server is None and settings.postgres.dagster_url is None:
        _ensure_database(engine, str(dagster_url.database))
    return Warehouse(engine, dagster_url.set(drivername="postgresql+psycopg2"), server)


def open_engine(url: URL, connections: int = CONNECTIONS, **psycopg_options: Any) -> Engine:
    """A pool of prepared connections to the database, at most so many, and fewer if the server allows fewer.

    Raises:
        psycopg.Error: the server does not answer.
        SettingsError: it answers and will not do.
    """
    arguments, options = url.get_dialect()().create_connect_args(url)
    first, allowed = _connect(*arguments, **{**options, **psycopg_options})
    opened = deque([first])
    # the others of a server are not ours: Dagster's storage, the receiver and people need some as well
    size = min(connections, max(CONNECTIONS_MIN, allowed // 2))
    engine = create_engine(
        url, pool_size=size, max_overflow=0, pool_timeout=FREE_WITHIN_S, connect_args=psycopg_options
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: Any, kwargs: Any) -> psycopg.Connection[Any]:
        with suppress(IndexError):
            return opened.popleft()
        return _connect(*args, **kwargs)[0]

    engine.connect().close()  # the first connection is the pool's from here on
    return engine


def _connect(*args: Any, **kwargs: Any) -> tuple[psycopg.Connection[Any], int]:
    """A prepared connection, and how many the server allows; one that is full is asked again for a while."""
    until = time.monotonic() + FREE_WITHIN_S
    while True:
        try:
            connection = psycopg.connect(*args, **kwargs)
            break
        except psycopg.OperationalError as error:
            if not is_full(error) or time.monotonic() > until:
                raise
            time.sleep(ASK_AGAIN_S)
    try:
        return connection, prepare(connection).connections_allowed
    except BaseException:
        connection.close()
        raise


def _postgres_url(name: str, value: str) -> URL:
    try:
        url = make_url(value)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(f"{name}: not a URL, expected postgresql://user@host/database") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(f"{name}: expected a postgresql:// URL, got {url.get_backend_name()}://")
    return url


def _ensure_database(engine: Engine, name: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).scalar():
            return
        try:
            connection.execute(text("SET ROLE NONE"))  # the login may, where billing_pipeline may not
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        except ProgrammingError as error:
            if isinstance(error.orig, psycopg.errors.DuplicateDatabase):
                return  # another process was quicker
            reason = database_reason(error)
            raise SettingsError(
                f"Dagster's database {name} cannot be created ({reason}): create it, or set DAGSTER_POSTGRES_URL"
            ) from None
        except IntegrityError:
            return  # another process was quicker, in the same moment
        finally:
            connection.invalidate()  # the next one works as billing_pipeline again


def require_dagster_storage(url: URL) -> None:
    """Connect once to Dagster's storage; Dagster itself would try for half a minute and end in a traceback.

    Raises:
        SettingsError: it does not answer.
    """
    try:
        psycopg.connect(libpq_url(url), connect_timeout=10).close()
    except psycopg.Error as error:
        reason = database_reason(error)
        raise SettingsError(f"DAGSTER_POSTGRES_URL: Dagster's storage does not answer: {reason}") from None
