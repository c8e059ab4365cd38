"""Dagster's daemon, its code server and its run workers, killed again and again while events come in."""

import base64
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import ProgrammingError

from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline.settings import EMULATOR_KEY, ROOT
from billing_pipeline_tests.databases import dagster_database
from billing_pipeline_tests.storm.digests import digest
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.machines import Postgres
from billing_pipeline_tests.storm.processing import settle, states_of, store_all
from billing_pipeline_tests.storm.sender import Parcel
from billing_pipeline_tests.storm.world import copied_books
from billing_pipeline_tests.web.receiving import KEYS, database_url

MOMENTS = ("tick", "code_server", "worker_start", "worker_middle", "worker_end")
LEASE_S = 8
MOMENT_WITHIN_S = 60.0
SETTLED_WITHIN_S = 120.0
POLL_S = 0.01
_INSTANCE = """
storage:
  postgres:
    postgres_url:
      env: DAGSTER_POSTGRES_URL
telemetry:
  enabled: false
run_monitoring:
  enabled: true
  start_timeout_seconds: 12
  poll_interval_seconds: 2
  max_resume_run_attempts: 0
run_coordinator:
  module: dagster._core.run_coordinator.queued_run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
"""
# what Dagster or our own records cannot tell is told by the database: how often each event was finished
_WITNESS = """
CREATE TABLE public.storm_endings (event_id text NOT NULL);
CREATE FUNCTION public.storm_note() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO public.storm_endings VALUES (NEW.event_id); RETURN NULL; END';
CREATE TRIGGER storm_note AFTER UPDATE ON billing.stripe_event_work FOR EACH ROW
WHEN (NEW.state IN ('applied', 'ignored')) EXECUTE FUNCTION public.storm_note();
"""
_LOGGED = """
SELECT action, object_type, object_id, count(*) AS count FROM billing.automation_log GROUP BY 1, 2, 3
"""


class Daemon:
    """`dagster-daemon` with what descends from it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
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
            _kill(one)

    def logged(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2_000:]


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)  # psutil looks first whether the id is still that process's


def dagster_kills(
    postgres: Postgres,
    base_url: str,
    api: Any,
    events: Sequence[Parcel],
    kills: int,
    seed: int,
    say: Callable[[str], None],
) -> Figures:
    """Events come in portions; with each, something of Dagster's is killed; in the end all must be applied once."""
    figures = Figures("dagster")
    orders = [MOMENTS[number % len(MOMENTS)] for number in range(kills)]
    random.Random(seed).shuffle(orders)
    portion = -(-len(events) // (kills + 1))
    portions = [events[portion * number : portion * (number + 1)] for number in range(kills + 1)]
    hit: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, copied_books(postgres, "storm_dagster") as warehouse:
        folder = Path(name)
        (folder / "dagster.yaml").write_text(_INSTANCE)
        with warehouse.transaction() as connection:
            connection.execute(text(_WITNESS))
        daemon = Daemon(folder, _environment(postgres, warehouse, folder, base_url))
        try:
            for number, moment in enumerate(orders):
                store_all(warehouse, portions[number])
                if _strike(daemon, warehouse, moment):
                    hit[moment] += 1
                else:
                    say(f"dagster: {moment} did not come about")
                say(f"dagster: {number + 1}/{kills} {moment}")
            store_all(warehouse, portions[kills])
            open_left = _settled(warehouse)
            figures.expect(open_left == 0, f"{open_left} events are still open; the daemon says {daemon.logged()}")
            stuck = _unended_runs(warehouse)
        finally:
            daemon.end()
        states = states_of(warehouse)
        noted = Counter(row["event_id"] for row in warehouse.rows("SELECT event_id FROM public.storm_endings"))
        found, logged = digest(warehouse), _logged(warehouse)
    with copied_books(postgres, "storm_dagster_in_order") as warehouse:
        store_all(warehouse, events)
        settle(warehouse, api)
        expected, expected_log = digest(warehouse), _logged(warehouse)
    lost = {event.event_id for event in events} - noted.keys()
    twice = [event_id for event_id, count in noted.items() if count > 1]
    figures.expect(sum(hit.values()) == kills, f"{sum(hit.values())} of {kills} kills happened")
    figures.expect(not lost, f"{len(lost)} events were never applied, such as {min(lost, default='')}")
    figures.expect(not twice, f"{len(twice)} events were applied twice, such as {min(twice, default='')}")
    doubled = {key for key in logged.keys() | expected_log.keys() if logged[key] != expected_log[key]}
    figures.expect(not doubled, f"the audit log differs for {len(doubled)}, such as {min(doubled, default='')}")
    for table, value in expected.items():
        figures.expect(found[table] == value, f"{table} ends otherwise than in order")
    figures.values = {
        "seed": seed,
        "dagster_kills": sum(hit.values()),
        "dagster_kills_by_moment": dict(hit),
        "dagster_events": len(events),
        "dagster_events_applied": states["applied"],
        "dagster_events_ignored": states["ignored"],
        "dagster_events_lost": len(lost),
        "dagster_events_twice": len(twice),
        "dagster_runs_left_without_end": stuck,
        "dagster_seconds": round(time.monotonic() - began),
    }
    return figures


def _environment(postgres: Postgres, warehouse: Warehouse, folder: Path, base_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BILLING_", "STRIPE_"))}
    return {
        **kept,
        "DAGSTER_HOME": str(folder),
        "DAGSTER_POSTGRES_URL": dagster_database(postgres.server, warehouse),
        "BILLING_DATABASE_URL": database_url(warehouse),
        "BILLING_STATE_DIR": str(folder / "state"),
        "BILLING_EVENT_KEYS": ",".join(f"{key.key_id}:{base64.b64encode(key.key).decode()}" for key in KEYS),
        "STRIPE_SECRET_KEY": EMULATOR_KEY,
        "STRIPE_API_BASE": base_url,
        "STRIPE_CALLS_PER_SECOND": "100",
        "STRIPE_CALLS_PER_SECOND_PER_ENDPOINT": "100",
        "STRIPE_EVENTS_INTERVAL_S": "1",
        "STRIPE_EVENTS_LEASE_S": str(LEASE_S),
        "SWEEP_CRON": "0 0 1 1 *",
        "RECONCILE_CRON": "0 0 1 1 *",
    }


def _strike(daemon: Daemon, warehouse: Warehouse, moment: str) -> bool:
    """Wait for the moment and kill; False if it did not come."""
    ticks_before = _last_tick(warehouse)
    workers_before = {one.pid for one in daemon.workers()}
    deadline = time.monotonic() + MOMENT_WITHIN_S
    while time.monotonic() < deadline:
        if daemon.process.poll() is not None:
            raise RuntimeError("the daemon ended by itself: " + daemon.logged())
        workers = daemon.workers()
        match moment:
            case "tick" if _tick_under_way(warehouse, ticks_before):
                daemon.kill()
                daemon.start()
                return True
            case "code_server" if workers and daemon.code_servers():
                # as when a machine goes: nobody is left who would tell that the run has ended
                daemon.kill()
                for one in daemon.code_servers() + workers:
                    _kill(one)
                daemon.start()  # by itself it takes up to a minute to start another code server
                return True
            case "worker_start" if fresh := [one for one in workers if one.pid not in workers_before]:
                _kill(fresh[0])
                return True
            case "worker_middle" if workers and _claimed(warehouse):
                for one in workers:
                    _kill(one)
                return True
            case "worker_end" if workers and _worked_off(warehouse):
                for one in workers:
                    _kill(one)
                return True
        time.sleep(POLL_S)
    return False


def _claimed(warehouse: Warehouse) -> bool:
    return bool(
        warehouse.scalar(
            "SELECT count(*) > 0 FROM billing.stripe_event_work"
            " WHERE state = 'pending' AND run_id IS NOT NULL AND due_at > now() + interval '1 second'"
        )
    )


def _worked_off(warehouse: Warehouse) -> bool:
    return not warehouse.scalar("SELECT count(*) FROM billing.stripe_event_work WHERE state = 'pending'")


def _dagster(warehouse: Warehouse, query: str) -> Any:
    engine = create_engine(warehouse.dagster_url, poolclass=NullPool)
    with engine.connect() as connection:
        try:
            return connection.execute(text(query)).scalar_one()
        except ProgrammingError:  # Dagster has not made its tables yet
            return 0


def _last_tick(warehouse: Warehouse) -> int:
    return int(_dagster(warehouse, "SELECT coalesce(max(id), 0) FROM job_ticks"))


def _tick_under_way(warehouse: Warehouse, after: int) -> bool:
    # the tick of a daemon that was killed stays as if it were under way
    return bool(_dagster(warehouse, f"SELECT count(*) FROM job_ticks WHERE status = 'STARTED' AND id > {after}"))


def _unended_runs(warehouse: Warehouse) -> int:
    return int(_dagster(warehouse, "SELECT count(*) FROM runs WHERE status IN ('STARTED', 'STARTING', 'CANCELING')"))


def _settled(warehouse: Warehouse) -> int:
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while True:
        states = states_of(warehouse)
        left = states["pending"] + states["waiting"]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.5)


def _logged(warehouse: Warehouse) -> Counter[tuple[str, str, str]]:
    return Counter({(r["action"], r["object_type"], r["object_id"]): r["count"] for r in warehouse.rows(_LOGGED)})
