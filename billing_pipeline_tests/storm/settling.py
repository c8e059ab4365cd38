"""The queue worked off: in this process, or in one of its own beside the next delivery."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.processing import ProcessingOptions, process_events
from billing_pipeline.events.store import parse_event, store_event
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY
from billing_pipeline_tests.storm.digests import digest
from billing_pipeline_tests.storm.sender import Parcel
from billing_pipeline_tests.web.receiver.receiving import KEYS

CIPHER = EventCipher(KEYS)
BATCH = 1_000
ROUNDS = 40
ROUND = timedelta(hours=2)
WITHIN_S = 300.0


def gateway(base_url: str) -> StripeGateway:
    """Stripe, without limits of one's own."""
    return StripeGateway(KEY, base_url, timeout_s=(5, 60), sleep=lambda _: None)


def settle(warehouse: Warehouse, api: Any) -> int:
    """Process until no event is open, without sitting out the pauses. Returns how many the first round left open."""
    left_by_first = 0
    for number in range(ROUNDS):
        process_events(
            warehouse,
            api,
            lambda: CIPHER,
            f"storm-{uuid4()}",  # a run takes an event once
            ProcessingOptions(
                clock=lambda ahead=number * ROUND: datetime.now(UTC) + ahead,  # type: ignore[misc]
                batch=BATCH,
            ),
        )
        states = states_of(warehouse)
        left = states["pending"] + states["waiting"]
        left_by_first = left if number == 0 else left_by_first
        if not left:
            return left_by_first
    raise TimeoutError(f"{left} events are still open after {ROUNDS} rounds")


def processing(base_url: str) -> Callable[[Warehouse], None]:
    """Works the queue off with the Stripe that answers there."""

    def process(warehouse: Warehouse) -> None:
        settle(warehouse, gateway(base_url))

    return process


def states_of(warehouse: Warehouse) -> Counter[str]:
    """Events by state."""
    rows = warehouse.rows("SELECT state, count(*) AS count FROM billing.stripe_event_work GROUP BY state")
    return Counter({row["state"]: row["count"] for row in rows})


def store_all(warehouse: Warehouse, parcels: Iterable[Parcel]) -> None:
    """Through the door, in one transaction."""
    with warehouse.transaction() as connection:
        for parcel in parcels:
            store_event(raw(connection), parse_event(parcel.body), "webhook", CIPHER)


@dataclass(frozen=True, slots=True)
class Settled:
    """How books ended: the digest of each table, and how often the database went away under the processing."""

    tables: dict[str, str]
    interruptions: int


def settled(database_url: str, base_url: str) -> Settled:
    """Process all events of a database and say how it ended. Where Postgres goes away, another run takes over.

    Raises:
        TimeoutError: it took too long.
    """
    url = make_url(database_url)
    deadline = time.monotonic() + WITHIN_S
    interruptions = 0
    while True:
        try:
            with _opened(url) as engine:
                warehouse = Warehouse(engine, url)
                settle(warehouse, gateway(base_url))
                return Settled(digest(warehouse), interruptions)
        except (DBAPIError, psycopg.OperationalError) as error:  # the second: it is away when it is to be opened
            if "does not exist" in str(error):  # the storm is over, and its databases are gone
                raise
            if time.monotonic() > deadline:
                raise TimeoutError(f"the database went away {interruptions} times, and again: {error}") from None
            interruptions += 1
            time.sleep(0.2)


@contextmanager
def _opened(url: URL) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


class Settler:
    """Processes in a process of its own, one database after the other."""

    def __init__(self, pool: ProcessPoolExecutor, base_url: str) -> None:
        self._pool = pool
        self._base_url = base_url

    def settle(self, database_url: str) -> "Future[Settled]":
        """Begin; the result comes when it has been processed."""
        return self._pool.submit(settled, database_url, self._base_url)


@contextmanager
def settler(base_url: str) -> Iterator[Settler]:
    """A settler with the Stripe that answers there."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield Settler(pool, base_url)
