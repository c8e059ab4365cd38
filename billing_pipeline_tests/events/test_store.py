"""Stripe's events come in through one door: once each, as received, contradictions kept aside, with INSERT alone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import URL, create_engine, text

from billing_pipeline.events.cipher import EventCipher, EventCipherError
from billing_pipeline.events.store import parse_event, read_body, store_event
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.embedded_postgres import database_url
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import EventKey
from billing_pipeline_tests.postgres.invariants.sessions import two_sessions
from billing_pipeline_tests.web.receiver.receiving import event_body

OLD, NEW = EventKey("2026a", b"a" * 32), EventKey("2026b", b"b" * 32)
CIPHER = EventCipher([OLD])


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[psycopg.Connection[Any]]:
    url = warehouse.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


def store(connection: psycopg.Connection[Any], content: bytes, source: Any = "webhook") -> str:
    return store_event(connection, parse_event(content), source, CIPHER)


def one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def test_an_event_is_stored_once_with_its_columns_in_the_clear_and_its_work(connection):
    assert store(connection, event_body()) == "stored"
    assert store(connection, event_body()) == "known"
    row = connection.execute(
        "SELECT event_id, type, object_id, created, livemode, account, api_version, source, key_id"
        " FROM billing.stripe_events"
    ).fetchall()
    created = datetime.fromtimestamp(1_790_000_000, UTC)
    assert row == [("evt_1", "invoice.paid", "in_evt_1", created, False, None, "2026-10-28.endive", "webhook", "2026a")]
    work = connection.execute("SELECT event_id, state, attempts, replays FROM billing.stripe_event_work").fetchall()
    assert work == [("evt_1", "pending", 0, 0)]


def test_the_body_comes_back_byte_for_byte_and_is_not_there_in_the_clear(connection):
    content = b" " + event_body() + b"\n"
    store(connection, content)
    assert read_body(connection, "evt_1", CIPHER) == content
    stored = one(connection, "SELECT body FROM billing.stripe_events")
    assert b"invoice" not in stored


def test_after_a_rotation_the_old_key_still_opens_and_the_new_one_writes(connection):
    store(connection, event_body("evt_old"))
    rotated = EventCipher([NEW, OLD])
    store_event(connection, parse_event(event_body("evt_new")), "webhook", rotated)
    assert read_body(connection, "evt_old", rotated) == event_body("evt_old")
    assert read_body(connection, "evt_new", rotated) == event_body("evt_new")
    with pytest.raises(EventCipherError, match="encrypted with key '2026b'"):
        read_body(connection, "evt_new", CIPHER)


def test_a_body_moved_to_another_event_or_changed_does_not_open():
    sealed = CIPHER.encrypt("evt_1", b"{}")
    assert CIPHER.decrypt("evt_1", "2026a", sealed) == b"{}"
    for event_id, stored in [("evt_2", sealed), ("evt_1", sealed[:-1] + bytes([sealed[-1] ^ 1])), ("evt_1", b"")]:
        with pytest.raises(EventCipherError, match="was changed"):
            CIPHER.decrypt(event_id, "2026a", stored)


def test_without_a_key_nothing_is_encrypted():
    with pytest.raises(EventCipherError, match="BILLING_EVENT_KEYS is not set"):
        EventCipher([])


def test_an_event_that_is_not_stored_is_named(connection):
    with pytest.raises(EventCipherError, match="evt_9 is not stored"):
        read_body(connection, "evt_9", CIPHER)


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(event_body(pending_webhooks=0), id="the count of open deliveries moves"),
        pytest.param(json.dumps(json.loads(event_body()), indent=2, sort_keys=True).encode(), id="spaced otherwise"),
        pytest.param(
            event_body(api_version="2025-01-01.acacia", data={"object": {"id": "in_evt_1", "paid": True}}),
            id="written in another API version",
        ),
    ],
)
def test_the_same_event_in_other_bytes_is_no_conflict(connection, again):
    store(connection, event_body())
    assert store(connection, again, "sweep") == "known"
    assert one(connection, "SELECT count(*) FROM billing.stripe_event_conflicts") == 0


@pytest.mark.parametrize(
    "over",
    [
        {"data": {"object": {"id": "in_evt_1", "object": "invoice", "total": 501}}},
        {"type": "invoice.voided"},
        {"livemode": True},
        {"account": "acct_1"},
        {"type": "invoice.voided", "api_version": "2025-01-01.acacia"},
        {"livemode": None, "api_version": "2025-01-01.acacia"},
    ],
)
def test_the_same_id_with_other_content_is_kept_aside_once_and_the_first_stays(connection, over):
    store(connection, event_body())
    assert store(connection, event_body(**over)) == "conflict"
    assert store(connection, event_body(**over)) == "known"
    assert read_body(connection, "evt_1", CIPHER) == event_body()
    aside = connection.execute("SELECT event_id, body, key_id FROM billing.stripe_event_conflicts").fetchall()
    assert len(aside) == 1
    assert CIPHER.decrypt("evt_1", aside[0][2], aside[0][1]) == event_body(**over)


def test_two_at_once_with_other_content_are_one_event_and_one_conflict(warehouse):
    def storing(total: int) -> Any:
        content = event_body(data={"object": {"id": "in_evt_1", "total": total}})
        return lambda db: store(raw(db), content)

    with two_sessions(warehouse) as (first, second):
        assert first.do(storing(1)) == "stored"
        waiting = second.waits(storing(2))
        first.commit()
        assert waiting.result(20) == "conflict"
        second.commit()
    assert warehouse.scalar("SELECT count(*) FROM billing.stripe_events") == 1
    assert warehouse.scalar("SELECT count(*) FROM billing.stripe_event_conflicts") == 1


def test_if_the_first_of_two_is_lost_the_second_is_stored(warehouse):
    with two_sessions(warehouse) as (first, second):
        assert first.do(lambda db: store(raw(db), event_body())) == "stored"
        waiting = second.waits(lambda db: store(raw(db), event_body()))
        first.rollback()
        assert waiting.result(20) == "stored"
        second.commit()
    assert warehouse.scalar("SELECT count(*) FROM billing.stripe_event_work") == 1


@pytest.fixture
def as_receiver(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    connection.execute("SET ROLE billing_receiver")
    return connection


def test_the_receivers_role_can_store_all_three_ways(as_receiver):
    assert store(as_receiver, event_body()) == "stored"
    assert store(as_receiver, event_body()) == "known"
    assert store(as_receiver, event_body(livemode=True)) == "conflict"
    as_receiver.execute("RESET ROLE")
    assert one(as_receiver, "SELECT count(*) FROM billing.stripe_event_work") == 1


def test_the_receivers_role_has_insert_on_the_three_event_tables_and_no_other_right(connection):
    granted = connection.execute(
        "SELECT c.relname, p.privilege FROM pg_class AS c"
        " CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])"
        " AS p (privilege)"
        " WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')"
        " AND c.relnamespace::regnamespace::text IN ('billing', 'billing_migrations')"
        " AND has_table_privilege('billing_receiver', c.oid, p.privilege) ORDER BY 1"
    ).fetchall()
    assert granted == [(f"stripe_{name}", "INSERT") for name in ("event_conflicts", "events", "foreign_events")]
    columns = one(
        connection,
        "SELECT count(*) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
        " WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
        " AND has_column_privilege('billing_receiver', c.oid, a.attnum, 'SELECT')",
    )
    assert columns == 0
    role = connection.execute(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles"
        " WHERE rolname = 'billing_receiver'"
    ).fetchone()
    assert role == (False, False, False, False, False)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM billing.stripe_events",
        "SELECT FROM billing.customers",
        "INSERT INTO billing.stripe_event_work (event_id) VALUES ('evt_1')",
        "UPDATE billing.stripe_event_work SET state = 'ignored'",
        "DELETE FROM billing.stripe_events",
        "TRUNCATE billing.stripe_event_conflicts",
        "INSERT INTO billing.automation_log (actor, action, object_type, object_id) VALUES ('a', 'b', 'c', 'd')",
        "SELECT billing.grant_receiver('billing_receiver')",
        "CREATE TABLE billing.mine ()",
        "INSERT INTO billing.stripe_events SELECT FROM billing.stripe_event_conflicts",
    ],
)
def test_the_receivers_role_is_refused_everything_else(as_receiver, statement):
    store(as_receiver, event_body())
    with pytest.raises(errors.InsufficientPrivilege):
        as_receiver.execute(statement)


def test_a_role_of_another_name_gets_the_same_rights(connection):
    connection.execute("CREATE ROLE own_receiver NOLOGIN")
    try:
        connection.execute("SELECT billing.grant_receiver('own_receiver')")
        connection.execute("SET ROLE own_receiver")
        assert store(connection, event_body()) == "stored"
    finally:
        connection.execute("RESET ROLE")
        connection.execute("DROP OWNED BY own_receiver")
        connection.execute("DROP ROLE own_receiver")


@pytest.fixture
def plain_owner(postgres_server) -> Iterator[URL]:
    """A database of a user who may not create roles, on a server without the receiver's."""
    admin = create_engine(database_url(postgres_server, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as server:
        server.execute(text("CREATE ROLE plain LOGIN"))
        server.execute(text("CREATE DATABASE plain OWNER plain"))
        server.execute(text("ALTER ROLE billing_receiver RENAME TO billing_receiver_elsewhere"))
        yield database_url(postgres_server, "plain").set(username="plain")
        server.execute(text("DROP DATABASE plain WITH (FORCE)"))
        server.execute(text("DROP ROLE plain"))
        server.execute(text("ALTER ROLE billing_receiver_elsewhere RENAME TO billing_receiver"))
    admin.dispose()


def test_who_may_not_create_roles_migrates_all_the_same_and_grants_later(plain_owner: URL):
    engine = create_engine(plain_owner)
    migrate(Warehouse(engine, plain_owner))
    with engine.begin() as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM pg_roles WHERE rolname = 'billing_receiver'")).scalar() == 0
        )
        connection.execute(text("SELECT billing.grant_receiver('billing_receiver_elsewhere')"))
        granted = text("SELECT has_table_privilege('billing_receiver_elsewhere', 'billing.stripe_events', 'INSERT')")
        assert connection.execute(granted).scalar()
    engine.dispose()
