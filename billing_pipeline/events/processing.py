"""Work through the queue of Stripe's events: claim, ask once for each object, apply and finish in one transaction.

Any number of processes may do so at once, and any of them may die at any moment. Each object has a lock, so that what
is written is never older than what another process has written. No transaction is open during a call to Stripe.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Lock

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from billing_pipeline.events import queue
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.objects import read_object
from billing_pipeline.events.reading import Reading, Write
from billing_pipeline.events.rules.endings import ClaimedEvent, Ending, Patience, ending, failed, outcome_name
from billing_pipeline.events.rules.stripe_events import HANDLED, Busy, Kind, Verdict
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.locks import stripe_object_lock_key
from billing_pipeline.postgres.session_lock import session_lock
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.postgres.worker_pool import work_through
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure
from billing_pipeline.stripe_gateway.rules.objects import StripeObjects

WORKERS = 8
BATCH = 200
OUTAGE = 10
"""So many lost calls in a row end the run: Stripe is away, and the rest of the queue need not find out one by one."""


@dataclass(frozen=True, slots=True)
class _Touched:
    """An object and the claimed events about it; no kind: the events name none that can be asked for."""

    kind: Kind | None
    object_id: str
    events: tuple[ClaimedEvent, ...]


@dataclass(slots=True)
class ProcessReport:
    """What a run did: attempts by how they ended, and objects of Stripe's that were asked for."""

    outcomes: Counter[str] = field(default_factory=Counter)
    objects: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self.outcomes.items()) if count)
        return f"{told or 'nothing was due'}; {self.objects:,} objects in {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class ProcessingOptions:
    """How a run processes.

    Args:
        log: says what happens.
        patience: how long events are tried.
        clock: what time it is; leases and pauses are counted by it.
        workers: threads that ask Stripe.
        batch: events claimed at once.
        stop: ends the run between objects.
        longest_s: no new batch is claimed after it.
        lease_s: how long a claim keeps others away; whoever comes after it takes the event over.
    """

    log: Callable[[str], None] = lambda _: None
    patience: Patience = field(default_factory=Patience)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    workers: int = WORKERS
    batch: int = BATCH
    stop: Event = field(default_factory=Event)
    longest_s: float = 600.0
    lease_s: float = queue.LEASE_S


def process_events(
    warehouse: Warehouse, api: StripeObjects, cipher: Callable[[], EventCipher], run_id: str, options: ProcessingOptions
) -> ProcessReport:
    """Process what is due until nothing is, or for `longest_s`.

    `cipher` opens bodies, and is asked for only where one is needed. A run named `run_id` takes an event once.

    Raises:
        StripeFailure: Stripe does not accept the key; the events stay due.
    """
    run = _Run(warehouse, api, cipher, run_id, options)
    started = time.monotonic()
    run.report.outcomes["ignored"] += queue.ignore_unhandled(warehouse, options.clock(), run_id)
    while not options.stop.is_set() and time.monotonic() - started < options.longest_s:
        claimed = queue.claim(warehouse, options.clock(), run_id, batch=options.batch, lease_s=options.lease_s)
        if not claimed:
            break
        run.work_on(claimed)
    run.report.seconds = time.monotonic() - started
    options.log(str(run.report))
    return run.report


class _Run:
    def __init__(
        self,
        warehouse: Warehouse,
        api: StripeObjects,
        cipher: Callable[[], EventCipher],
        run_id: str,
        options: ProcessingOptions,
    ) -> None:
        self._warehouse = warehouse
        self._api = api
        self._cipher = cipher
        self._run_id = run_id
        self._options = options
        self._patience, self._clock = options.patience, options.clock
        self.report = ProcessReport()
        self._counting = Lock()
        self._lost_in_a_row = 0

    def work_on(self, claimed: Sequence[ClaimedEvent]) -> None:
        """Every claimed event gets an ending, or is given back if the run ends before its turn."""
        by_object: dict[tuple[Kind | None, str], list[ClaimedEvent]] = {}
        for event in claimed:
            kind = HANDLED.get(event.type)
            if kind is None or event.object_id is None:
                by_object[None, event.event_id] = [event]
            else:
                by_object.setdefault((kind, event.object_id), []).append(event)
        objects = [_Touched(*key, tuple(events)) for key, events in by_object.items()]
        handled: set[_Touched] = set()

        @contextmanager
        def worker() -> Iterator[Callable[[_Touched], None]]:
            with self._warehouse.engine.connect() as connection:

                def work(touched: _Touched) -> None:
                    self._handle(connection, touched)
                    handled.add(touched)

                try:
                    yield work
                finally:
                    self._api.close()

        try:
            threads = self._warehouse.threads(self._options.workers)
            work_through(objects, worker, workers=threads, stop=self._options.stop, progress=self._options.log)
        finally:
            left = [event for touched in objects if touched not in handled for event in touched.events]
            if left:
                queue.release(self._warehouse, left, self._clock(), self._run_id, self._patience.first_s)
                self._count("given back", len(left))

    def _handle(self, connection: Connection, touched: _Touched) -> None:
        if touched.kind is None:
            self._fail(connection, touched, "it names no object that could be asked for", definite=True)
            return
        key = stripe_object_lock_key(touched.kind, touched.object_id)
        with session_lock(connection, key) as is_ours:
            if not is_ours:
                self._end(connection, touched, Busy())
                return
            reading = Reading(self._api, connection, self._cipher, self._run_id, touched.object_id, touched.events)
            try:
                write = read_object(touched.kind, reading)
                self._lost_in_a_row = 0
            except StripeFailure as failure:
                self._not_answered(connection, touched, failure)
                return
            except DBAPIError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one object, the others go on
                self._fail(connection, touched, f"{type(error).__name__}: {error}", definite=True)
                return
            self._apply(connection, touched, write)

    def _not_answered(self, connection: Connection, touched: _Touched, failure: StripeFailure) -> None:
        if failure.outcome is Outcome.STOP:
            raise failure
        lost = failure.outcome in (Outcome.UNKNOWN, Outcome.RETRY)
        self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0
        if self._lost_in_a_row >= OUTAGE and not self._options.stop.is_set():
            self._options.log(f"Stripe does not answer ({failure}): the run ends, the events stay due")
            self._options.stop.set()
        self._fail(connection, touched, str(failure), definite=not lost)

    def _apply(self, connection: Connection, touched: _Touched, write: Write) -> None:
        """What is written and the events' endings are one transaction, or none of it is."""
        try:
            with connection.begin():
                held = queue.still_held(connection, touched.events)
                if held:
                    verdict = write(connection)
                    queue.finish(connection, self._endings(held, verdict), self._clock(), self._run_id)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            self._fail(connection, touched, database_reason(error), definite=not isinstance(error, OperationalError))
            return
        if held:
            self._count(outcome_name(verdict), len(held))
        with self._counting:
            self.report.objects += 1

    def _end(self, connection: Connection, touched: _Touched, verdict: Verdict) -> None:
        with connection.begin():
            queue.finish(connection, self._endings(touched.events, verdict), self._clock(), self._run_id)
        self._count(outcome_name(verdict), len(touched.events))

    def _endings(self, events: Sequence[ClaimedEvent], verdict: Verdict) -> list[Ending]:
        return [ending(event, verdict, self._patience, self._clock()) for event in events]

    def _fail(self, connection: Connection, touched: _Touched, error: str, *, definite: bool) -> None:
        endings = [failed(event, error, self._patience, self._clock(), definite=definite) for event in touched.events]
        with connection.begin():
            queue.finish(connection, endings, self._clock(), self._run_id)
        for end in endings:
            self._count("dead" if end.state == "dead" else "failed, to be tried again", 1)
            self._options.log(f"event {end.event.event_id} ({end.event.type}) failed, {end.state}: {error}")

    def _count(self, outcome: str, count: int) -> None:
        with self._counting:
            self.report.outcomes[outcome] += count
