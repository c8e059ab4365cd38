"""A `dagster-daemon` that can be killed, with the code server and the run workers that descend from it."""

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import EMULATOR_KEY, ROOT
from billing_pipeline_tests.databases import dagster_database
from billing_pipeline_tests.storm.machines import Postgres
from billing_pipeline_tests.web.receiver.receiving import KEYS, database_url

LEASE_S = 8
CALLS_PER_SECOND = 12
"""So that a run takes a second or two, in which it can be killed."""
HASTY = """
storage:
  postgres:
    postgres_url:
      env: DAGSTER_POSTGRES_URL
telemetry:
  enabled: false
run_monitoring:
  enabled: true
  start_timeout_seconds: 20
  poll_interval_seconds: 2
  max_resume_run_attempts: 0
run_coordinator:
  module: dagster._core.run_coordinator.queued_run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
"""
"""An instance that notices soon what was killed."""
HASTY_SETTINGS = {
    "STRIPE_CALLS_PER_SECOND": str(CALLS_PER_SECOND),
    "STRIPE_CALLS_PER_SECOND_PER_ENDPOINT": str(CALLS_PER_SECOND),
    "STRIPE_EVENTS_INTERVAL_S": "1",
    "STRIPE_EVENTS_LEASE_S": str(LEASE_S),
    "SWEEP_CRON": "0 0 1 1 *",
    "RECONCILE_CRON": "0 0 1 1 *",
}


class Daemon:
    """`dagster-daemon` with what descends from it."""

    def __init__(self, folder: Path, environment: dict[str, str], instance: str = HASTY) -> None:
        (folder / "dagster.yaml").write_text(instance)
        self._environment = environment
        self._log = folder / "daemon.log"
        self.started: dict[int, psutil.Process] = {}
        self.start()

    def start(self) -> None:
        """A new daemon; what the last one left behind goes on."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")],
                cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def descendants(self) -> list[psutil.Process]:
        """All that this daemon and what it started have started and that runs."""
        with suppress(psutil.NoSuchProcess):
            self.started |= {one.pid: one for one in psutil.Process(self.process.pid).children(recursive=True)}
        return [one for one in self.started.values() if one.is_running()]

    def code_servers(self) -> list[psutil.Process]:
        """Processes that serve the code location."""
        return [one for one in self.descendants() if "api" in _command(one) and "grpc" in _command(one)]

    def workers(self) -> list[psutil.Process]:
        """Processes that execute runs."""
        return [one for one in self.descendants() if any("spawn_main" in part for part in _command(one))]

    def kill(self) -> None:
        """SIGKILL for the daemon alone."""
        self.descendants()
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Everything that was started."""
        self.kill()
        for one in self.descendants():
            kill(one)

    def logged(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2_000:]


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


def kill(process: psutil.Process) -> None:
    """SIGKILL, if it still runs."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)  # psutil looks first whether the id is still that process's


def environment_of(
    postgres: Postgres, warehouse: Warehouse, folder: Path, base_url: str, settings: Mapping[str, str]
) -> dict[str, str]:
    """What a daemon needs to work on these books with the Stripe that answers there; its home is `folder`."""
    left_out = ("BILLING_", "STRIPE_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {
        **kept,
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),  # or every start compiles some 3,000 modules anew
        "DAGSTER_HOME": str(folder),
        "DAGSTER_POSTGRES_URL": dagster_database(postgres.server, warehouse),
        "BILLING_DATABASE_URL": database_url(warehouse),
        "BILLING_STATE_DIR": str(folder / "state"),
        "BILLING_EVENT_KEYS": ",".join(f"{key.key_id}:{base64.b64encode(key.key).decode()}" for key in KEYS),
        "STRIPE_SECRET_KEY": EMULATOR_KEY,
        "STRIPE_API_BASE": base_url,
        **settings,
    }
