"""A real pgbouncer before the tests' server, where it is installed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


@contextmanager
def pooled(url: URL, pool_mode: str, **settings: str) -> Iterator[URL]:
    """The URL of the same database through a pooler; no option but `settings` is changed from its defaults."""
    folder = Path(tempfile.mkdtemp(prefix="billing-pgbouncer-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    values = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": pool_mode,
        "logfile": str(folder / "log"),
        **settings,
    }
    lines = [
        "[databases]",
        f"* = host={url.query['host']} user={url.username} dbname={url.database}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in values.items()),
    ]
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    as_whom = []
    if os.geteuid() == 0:  # it does not run as root; whom the server's folder belongs to may open its socket
        as_whom = ["-u", Path(str(url.query["host"])).owner()]
        shutil.chown(folder, as_whom[1])
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, *as_whom, str(folder / "pgbouncer.ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        through = url.set(host="127.0.0.1", port=port, query={})
        _wait_for(through, process)
        yield through
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: URL, process: "subprocess.Popen[bytes]") -> None:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    for _ in range(100):
        try:
            psycopg.connect(plain).close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None, "pgbouncer ended"
            time.sleep(0.1)
    raise AssertionError("pgbouncer does not answer")
