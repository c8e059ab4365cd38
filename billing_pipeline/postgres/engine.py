"""Opens the configured PostgreSQL, or the embedded one, and says in one line why it cannot."""

import psycopg
from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError

from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings, SettingsError


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
        reason = database_reason(error)
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
            reason = database_reason(error)
            raise SettingsError(
                f"Dagster's database {name} cannot be created ({reason}): create it, or set DAGSTER_POSTGRES_URL"
            ) from None
        except IntegrityError:
            return  # another process was quicker, in the same moment


def require_dagster_storage(url: URL) -> None:
    """Connect once to Dagster's storage; Dagster itself would try for half a minute and end in a traceback.

    Raises:
        SettingsError: it does not answer.
    """
    try:
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        psycopg.connect(plain, connect_timeout=10).close()
    except psycopg.Error as error:
        reason = database_reason(error)
        raise SettingsError(f"DAGSTER_POSTGRES_URL: Dagster's storage does not answer: {reason}") from None
