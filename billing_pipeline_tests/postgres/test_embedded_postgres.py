"""The embedded server: real processes start, join, are killed, and the data is still there."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from billing_pipeline.postgres import embedded_postgres

_SERVE = """
import sys
from pathlib import Path
import psycopg
from billing_pipeline.postgres import embedded_postgres
server = embedded_postgres.start(Path(sys.argv[1]))
print(server.get_pid(), flush=True)
for line in sys.stdin:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        cursor = connection.execute(line.encode())
        print(cursor.fetchone()[0] if cursor.description else "done", flush=True)
"""


class Process:
    """A process that starts or joins the server of a folder and runs one statement a line."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def server_pid(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.errors()
        return int(line)

    def errors(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read()

    def run(self, statement: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(statement + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def kill(self, *, with_children: bool = False) -> None:
        """kill -9; the server is a session of its own and no child in this sense, initdb is."""
        if with_children:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._close()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.communicate(timeout=30)
        self._close()

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a server's state goes; short enough for a socket, and no server is left behind."""
    parent = Path(tempfile.mkdtemp(prefix="billing-pg-"))
    yield parent / "postgres"
    found = parent / "postgres" / "postmaster.pid"
    if found.exists():
        _terminate(int(found.read_text().split("\n", 1)[0]))
    shutil.rmtree(parent, ignore_errors=True)


def _terminate(server_pid: int) -> None:
    try:
        os.kill(server_pid, signal.SIGINT)  # fast shutdown
    except ProcessLookupError:
        return
    _wait_for_the_end_of(server_pid)


def _wait_for_the_end_of(pid: int, patience_s: float = 20.0) -> None:
    """Until the process, which is no child of ours, is gone and buried."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    state = Path(f"/proc/{pid}/stat")
    if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
        pytest.skip("process 1 of this container buries no orphans, so a dead server looks alive")
    raise AssertionError(f"process {pid} is still there")


def test_a_second_process_joins_the_running_server(folder: Path):
    first = Process(folder)
    server_pid = first.server_pid()
    second = Process(folder)
    assert second.server_pid() == server_pid
    assert first.run("CREATE TABLE t AS SELECT 7 AS n") == "done"
    assert second.run("SELECT n FROM t") == "7"
    first.end()
    assert second.run("SELECT n FROM t") == "7", "the server stays while somebody uses it"
    second.end()
    _wait_for_the_end_of(server_pid)
    third = Process(folder)
    assert third.server_pid() != server_pid
    assert third.run("SELECT n FROM t") == "7", "the server ended properly with its last user"
    third.end()


def test_what_was_stored_is_there_after_the_process_that_started_it_was_killed(folder: Path):
    first = Process(folder)
    server_pid = first.server_pid()
    first.run("CREATE TABLE t AS SELECT 7 AS n")
    first.kill()
    second = Process(folder)
    assert second.server_pid() == server_pid, "the server outlives the killed process and is joined"
    assert second.run("SELECT n FROM t") == "7"
    second.end()


def test_what_was_stored_is_there_after_the_server_itself_was_killed_too(folder: Path):
    first = Process(folder)
    server_pid = first.server_pid()
    first.run("CREATE TABLE t AS SELECT 7 AS n")
    first.kill()
    os.kill(server_pid, signal.SIGKILL)
    _wait_for_the_end_of(server_pid)
    second = Process(folder)
    assert second.server_pid() != server_pid
    assert second.run("SELECT n FROM t") == "7"
    second.end()


@pytest.mark.parametrize("initdb_dies_too", [True, False])
def test_a_first_start_that_was_killed_half_way_is_made_again(folder: Path, initdb_dies_too: bool):
    first = Process(folder)
    _wait_for_some_of(folder)
    first.kill(with_children=initdb_dies_too)
    assert not folder.exists(), "the kill came too late to leave a half-made folder"
    second = Process(folder)
    second.server_pid()
    assert second.run("CREATE TABLE t AS SELECT 7 AS n") == "done"
    second.end()
    third = Process(folder)
    third.server_pid()
    assert third.run("SELECT n FROM t") == "7"
    third.end()
    assert not list(folder.parent.glob("postgres.new-*/PG_VERSION")), "what the killed one left is cleared away"


def test_a_process_that_comes_during_the_first_start_waits_and_joins(folder: Path):
    first = Process(folder)
    _wait_for_some_of(folder)
    second = Process(folder)
    assert second.server_pid() == first.server_pid()
    for process in (first, second):
        assert process.run("SELECT 7") == "7"
        process.end()


def _wait_for_some_of(folder: Path, patience_s: float = 30.0) -> None:
    """Until initdb has begun to fill the folder that will be `folder`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if list(folder.parent.glob("postgres.new-*/PG_VERSION")):
            return
        time.sleep(0.002)
    raise AssertionError("initdb has not begun")


def test_two_processes_that_start_at_once_in_a_new_folder_share_one_server(folder: Path):
    both = [Process(folder), Process(folder)]
    pids = {process.server_pid() for process in both}
    assert len(pids) == 1
    for process in both:
        assert process.run("SELECT 7") == "7"
        process.end()


def test_a_database_is_made_once_and_reached_by_its_url_and_by_its_owner_alone(folder: Path):
    server = embedded_postgres.start(folder)
    try:
        url = embedded_postgres.database_url(server, "billing")
        assert embedded_postgres.database_url(server, "billing") == url
        assert url.drivername == "postgresql+psycopg"
        assert embedded_postgres.database_url(server, "dagster", "psycopg2").drivername == "postgresql+psycopg2"
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain) as connection:
            assert connection.info.dbname == "billing"
        # whoever may write to it is let in without a password
        assert server.get_postmaster_info().socket_path.stat().st_mode & 0o077 == 0
    finally:
        server._cleanup()


def test_a_killed_process_does_not_keep_the_server_running_for_ever(folder: Path):
    killed = Process(folder)
    server_pid = killed.server_pid()
    killed.kill()
    second = Process(folder)
    assert second.server_pid() == server_pid
    second.end()
    _wait_for_the_end_of(server_pid)


def test_a_kept_server_outlives_its_processes_until_it_is_stopped(folder: Path):
    embedded_postgres.keep_running(embedded_postgres.start(folder))
    user = Process(folder)
    pid = user.server_pid()
    assert embedded_postgres.stop(folder) == [user._process.pid], "it is in use"
    embedded_postgres.keep_running(embedded_postgres.start(folder))
    user.end()
    os.kill(pid, 0)
    assert embedded_postgres.stop(folder) == []
    _wait_for_the_end_of(pid)
    assert embedded_postgres.stop(folder) is None
