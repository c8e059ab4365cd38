"""The storm: every event, many twice, in many orders, while receivers are killed and PostgreSQL restarts.

Each shuffle is delivered over real HTTP to books of its own; what they end as is compared with the books to which the
events came one by one, in order and undisturbed.
"""

import random
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.lean_http import free_port
from billing_pipeline_tests.storm.digests import digest
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.machines import Postgres, ReceiverProcess
from billing_pipeline_tests.storm.sender import Parcel, Sender, Sent
from billing_pipeline_tests.storm.settling import Settled, Settler
from billing_pipeline_tests.storm.world import copied_books
from billing_pipeline_tests.web.receiver.receiving import KEYS, database_url

DUPLICATES = 0.3


@dataclass(frozen=True, slots=True)
class About:
    """What an event is about."""

    type: str
    object_id: str


@dataclass(frozen=True, slots=True)
class InOrder:
    """The books to which the events came one by one: digests before and after, and the events that were applied."""

    before: Mapping[str, str]
    after: Mapping[str, str]
    applied: Mapping[str, About]


class Mishaps:
    """Does what is planned once so many deliveries were acknowledged, one thing after the other, beside them."""

    def __init__(self, planned: Sequence[tuple[int, Callable[[], None]]]) -> None:
        self._beside = ThreadPoolExecutor(1)
        self._planned = sorted(planned, key=lambda item: item[0])
        self._acknowledged = 0
        self._more = threading.Condition()
        self._over = False
        self.done = 0
        self._doing = self._beside.submit(self._do)

    def count(self) -> None:
        """One more was acknowledged."""
        with self._more:
            self._acknowledged += 1
            self._more.notify()

    def _do(self) -> None:
        for at, action in self._planned:
            with self._more:
                while self._acknowledged < at and not self._over:
                    self._more.wait(1.0)
                if self._acknowledged < at:
                    return
            action()
            self.done += 1

    def finish(self) -> None:
        """Nothing more is delivered: wait for what is being done, and raise what it failed with."""
        with self._more:
            self._over = True
            self._more.notify()
        with self._beside:
            self._doing.result()


def shuffled(events: Sequence[Parcel], drawn: random.Random) -> list[Parcel]:
    """All events and some of them again, in any order."""
    parcels = [*events, *drawn.sample(list(events), int(len(events) * DUPLICATES))]
    drawn.shuffle(parcels)
    return parcels


def delivered_in_order(postgres: Postgres, events: Sequence[Parcel], settler: Settler) -> InOrder:
    """Deliver the events one after the other, undisturbed, and process them."""
    with copied_books(postgres, "storm_in_order") as warehouse:
        before = digest(warehouse)
        with ReceiverProcess(database_url(warehouse), free_port()) as receiver:
            Sender(receiver.port, workers=1).deliver(events)
        after = settler.settle(database_url(warehouse)).result().tables
        applied = {row["event_id"]: About(row["type"], row["object_id"]) for row in warehouse.rows(_APPLIED)}
    return InOrder(before, after, applied)


def storm(
    postgres: Postgres,
    events: Sequence[Parcel],
    in_order: InOrder,
    settler: Settler,
    *,
    shuffles: int,
    kills: int,
    restarts: int,
    seed: int,
    say: Callable[[str], None],
) -> Figures:
    """Run it; `seed` decides the orders and when what is killed.

    A shuffle is processed while the next one is delivered: what happens to Postgres happens to both.
    """
    figures = Figures("storm")
    drawn = random.Random(seed)
    expected = in_order.after
    changed = sorted(table for table in expected if expected[table] != in_order.before[table])
    figures.expect({"stripe_charges", "invoices", "stripe_payments"} <= set(changed), f"events only change {changed}")
    moments = [
        *((drawn.randrange(shuffles), "kill") for _ in range(kills)),
        *((drawn.randrange(shuffles), how) for how in ("shut down", "crash")[:restarts]),
    ]
    total = Sent()
    done = same = missing = interruptions = 0

    def judge(number: int, books: ExitStack, processed: "Future[Settled]") -> None:
        nonlocal same, interruptions
        with books:
            found = processed.result()
        same += found.tables == expected
        interruptions += found.interruptions
        figures.expect(
            found.tables == expected,
            f"shuffle {number + 1} of seed {seed} ends otherwise: "
            + ", ".join(table for table in expected if found.tables[table] != expected[table]),
        )

    with ExitStack() as opened:
        before: tuple[int, ExitStack, Future[Settled]] | None = None
        for number in range(shuffles):
            parcels = shuffled(events, drawn)
            what = [(drawn.randrange(1, int(len(parcels) * 0.9)), how) for at, how in moments if at == number]
            books = opened.enter_context(ExitStack())
            warehouse = books.enter_context(copied_books(postgres, f"storm_{number}"))
            mishaps, sent = _deliver(postgres, warehouse, parcels, what)
            done += mishaps
            missing += _check_stored(figures, warehouse, sent, events)
            if before is not None:
                judge(*before)
            before = number, books, settler.settle(database_url(warehouse))
            total.add(sent)
            say(
                f"shuffle {number + 1} of {shuffles}: {len(parcels):,} deliveries in {sent.seconds:.1f} s,"
                f" {len(what)} mishaps"
            )
        if before is not None:
            judge(*before)
    figures.expect(total.refused == 0, f"valid deliveries got a 4xx: {dict(total.statuses)}")
    figures.expect(done == kills + restarts, f"only {done} of {kills + restarts} mishaps happened")
    figures.values = {
        "events": len(events),
        "duplicates_share": DUPLICATES,
        "shuffles": shuffles,
        "deliveries_acknowledged": total.statuses[200],
        "attempts_unanswered": total.unanswered,
        "attempts_503": total.statuses[503],
        "receiver_kills_and_postgres_restarts": done,
        "acknowledged_and_missing": missing,
        "shuffles_that_end_as_in_order": same,
        "processings_that_lost_their_database": interruptions,
        "deliveries_per_second": round(len(total.latencies_s) / total.seconds),
        "tables_that_events_change": changed,
        "seed": seed,
    }
    return figures


def _deliver(
    postgres: Postgres, warehouse: Warehouse, parcels: Sequence[Parcel], what: Sequence[tuple[int, str]]
) -> tuple[int, Sent]:
    with ReceiverProcess(database_url(warehouse), free_port()) as receiver:

        def kill() -> None:
            receiver.kill()
            receiver.start()

        actions = {
            "kill": kill,
            "shut down": lambda: postgres.restart(signal.SIGINT),
            "crash": lambda: postgres.restart(signal.SIGQUIT),
        }
        mishaps = Mishaps([(at, actions[how]) for at, how in what])
        sent = Sender(receiver.port, progress=mishaps.count).deliver(parcels)
        mishaps.finish()
        logged = receiver.logged()
    assert "Traceback" not in logged, logged[-3_000:]
    return mishaps.done, sent


def _check_stored(figures: Figures, warehouse: Warehouse, sent: Sent, events: Sequence[Parcel]) -> int:
    """The number of events that were acknowledged and are not there."""
    warehouse.engine.dispose()  # its connections may have died with the server
    cipher = EventCipher(KEYS)
    with warehouse.engine.connect() as connection:
        bodies = {
            event_id: cipher.decrypt(event_id, key_id, body)
            for event_id, key_id, body in raw(connection).execute(
                "SELECT event_id, key_id, body FROM billing.stripe_events"
            )
        }
    missing = sent.acknowledged - bodies.keys()
    figures.expect(
        not missing, f"{len(missing)} acknowledged events are not stored, such as {min(missing, default='')}"
    )
    figures.expect(bodies == {event.event_id: event.body for event in events}, "what is stored is not what was sent")
    conflicts = warehouse.scalar("SELECT count(*) FROM billing.stripe_event_conflicts")
    figures.expect(conflicts == 0, f"{conflicts} events conflict with themselves")
    return len(missing)


_APPLIED = """
SELECT e.event_id, e.type, e.object_id FROM billing.stripe_events AS e
JOIN billing.stripe_event_work AS w USING (event_id) WHERE w.state = 'applied'
"""
