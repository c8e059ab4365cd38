"""Dagster's daemon, its code server and its run workers, killed again and again while events come in."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import ProgrammingError

from billing_pipeline.charging.brakes import pause_charging
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.storm.dagster_daemon import HASTY_SETTINGS, Daemon, environment_of, kill
from billing_pipeline_tests.storm.digests import digest
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.machines import Postgres
from billing_pipeline_tests.storm.sender import Parcel
from billing_pipeline_tests.storm.settling import settle, states_of, store_all
from billing_pipeline_tests.storm.world import copied_books

MOMENTS = ("tick", "code_server", "worker_start", "worker_middle", "worker_end")
MOMENT_WITHIN_S = 90.0
KILLS_WITHIN_S = 540.0
SETTLED_WITHIN_S = 120.0
POLL_S = 0.01
# what Dagster or our own records cannot tell is told by the database: how often each event was finished
_WITNESS = """
CREATE TABLE public.storm_endings (event_id text NOT NULL);
GRANT SELECT, INSERT ON public.storm_endings TO PUBLIC;
CREATE FUNCTION public.storm_note() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO public.storm_endings VALUES (NEW.event_id); RETURN NULL; END';
CREATE TRIGGER storm_note AFTER UPDATE ON billing.stripe_event_work FOR EACH ROW
WHEN (NEW.state IN ('applied', 'ignored')) EXECUTE FUNCTION public.storm_note();
"""
_UNENDED = " WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
_LOGGED = """
SELECT action, object_type, object_id, count(*) AS count FROM billing.automation_log GROUP BY 1, 2, 3
"""


def dagster_kills(
    postgres: Postgres,
    base_url: str,
    api: Any,
    events: Sequence[Parcel],
    books: str,
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
    with tempfile.TemporaryDirectory() as name, copied_books(postgres, "storm_dagster", books) as warehouse:
        folder = Path(name)
        _hold_charging(warehouse)
        with warehouse.transaction() as connection:
            as_login(connection)
            connection.execute(text(_WITNESS))
        daemon = Daemon(folder, environment_of(postgres, warehouse, folder, base_url, HASTY_SETTINGS))
        try:
            for number, moment in enumerate(orders):
                store_all(warehouse, portions[number])
                if time.monotonic() - began > KILLS_WITHIN_S:
                    continue
                came = _strike(daemon, warehouse, moment)
                hit[moment] += came
                say(f"dagster: {number + 1} of {kills}, {moment}{'' if came else _standing(daemon, warehouse)}")
            store_all(warehouse, portions[kills])
            open_left = _settled(warehouse)
            figures.expect(open_left == 0, f"{open_left} events are still open; the daemon says {daemon.logged()}")
            stuck = _unended_runs(warehouse)
        finally:
            daemon.end()
        states = states_of(warehouse)
        noted = Counter(row["event_id"] for row in warehouse.rows("SELECT event_id FROM public.storm_endings"))
        found, logged = digest(warehouse), _logged(warehouse)
    with copied_books(postgres, "storm_dagster_in_order", books) as warehouse:
        _hold_charging(warehouse)
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
        "kills": sum(hit.values()),
        "kills_by_moment": dict(hit),
        "events": len(events),
        "applied": states["applied"],
        "ignored": states["ignored"],
        "lost": len(lost),
        "twice": len(twice),
        "runs_left_without_end": stuck,
        "seconds": round(time.monotonic() - began),
        "seed": seed,
    }
    return figures


def _hold_charging(warehouse: Warehouse) -> None:
    pause_charging(
        warehouse,
        Signature("storm", "a new card would have a refused charge tried again, and there would be more to tell of"),
    )


def _strike(daemon: Daemon, warehouse: Warehouse, moment: str) -> bool:
    """Wait for the moment and kill; False if it did not come."""
    with _runs_held_at_their_end(warehouse) if moment == "worker_end" else nullcontext():
        return _struck(daemon, warehouse, moment)


@contextmanager
def _runs_held_at_their_end(warehouse: Warehouse) -> Iterator[None]:
    """No run gets further than to the check after its last batch: a run's end is too short to be met by chance."""
    with warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text("LOCK TABLE billing.stripe_event_conflicts"))
        yield


def _struck(daemon: Daemon, warehouse: Warehouse, moment: str) -> bool:
    tick_before = _last_tick(warehouse)
    claims_before = _claiming_runs(warehouse)
    workers_before = {one.pid for one in daemon.workers()}
    deadline = time.monotonic() + MOMENT_WITHIN_S
    while time.monotonic() < deadline:
        if daemon.process.poll() is not None:
            raise RuntimeError("the daemon ended by itself: " + daemon.logged())
        workers = daemon.workers()
        match moment:
            case "tick" if _tick_under_way(warehouse, tick_before):
                daemon.kill()
                daemon.start()
                return True
            case "code_server" if workers and daemon.code_servers():
                # as when a machine goes: nobody is left who would tell that the run has ended
                daemon.kill()
                for one in daemon.code_servers() + workers:
                    kill(one)
                daemon.start()  # by itself it takes up to a minute to start another code server
                return True
            case "worker_start" if fresh := [one for one in workers if one.pid not in workers_before]:
                kill(fresh[0])
                return True
            case "worker_middle" if workers and _claiming_runs(warehouse) - claims_before:
                for one in workers:
                    kill(one)
                return True
            case "worker_end" if workers and _is_held(warehouse):
                for one in workers:
                    kill(one)
                return True
        time.sleep(POLL_S)
    return False


def _claiming_runs(warehouse: Warehouse) -> set[str]:
    """Runs with events that they have claimed and not finished; one that was killed stays among them for a while."""
    rows = warehouse.rows(
        "SELECT DISTINCT run_id FROM billing.stripe_event_work"
        " WHERE state = 'pending' AND run_id IS NOT NULL AND due_at > now()"
    )
    return {row["run_id"] for row in rows}


def _is_held(warehouse: Warehouse) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE relation = 'billing.stripe_event_conflicts'::regclass AND NOT granted"
    return bool(warehouse.scalar(query))


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
    query = "SELECT count(*) FROM job_ticks WHERE status = 'STARTED' AND tick_body LIKE '%stripe_events_due%'"
    return bool(_dagster(warehouse, f"{query} AND id > {after}"))


def _unended_runs(warehouse: Warehouse) -> int:
    return int(_dagster(warehouse, "SELECT count(*) FROM runs" + _UNENDED))


def _standing(daemon: Daemon, warehouse: Warehouse) -> str:
    """What Dagster and the database were about when a moment did not come about."""
    runs = "SELECT string_agg(left(run_id, 8) || ' ' || status || ' ' || update_timestamp, ', ') FROM runs"
    ticks = (
        "SELECT string_agg(tick_body, ', ') FROM (SELECT tick_body FROM job_ticks ORDER BY id DESC LIMIT 2) AS newest"
    )
    backends = warehouse.rows(
        "SELECT state, wait_event_type, wait_event, left(query, 60) AS query FROM pg_stat_activity"
        " WHERE datname = current_database() AND state <> 'idle'"
    )
    return (
        f" did not come about. Runs: {_dagster(warehouse, runs + _UNENDED)}. Ticks: {_dagster(warehouse, ticks)}."
        f" Backends: {backends}. Events: {dict(states_of(warehouse))}. Workers: {len(daemon.workers())}."
        f" Log: {daemon.logged()}"
    )


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
