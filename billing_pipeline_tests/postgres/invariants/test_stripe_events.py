"""Events and their work: kept as they came, opened with their work, ended once, opened again only by a replay."""

from typing import Any

import pytest
from sqlalchemy import Connection

from billing_pipeline_tests.postgres.invariants.rows import execute, insert, refused, undone, value


def stripe_event(db: Connection, event_id: str = "evt_1", table: str = "stripe_events", **over: Any) -> str:
    given = {
        "type": "invoice.paid", "object_id": "in_1", "source": "webhook", "body": b"sealed", "key_id": "k",
        "body_sha256": bytes(32), "content_sha256": bytes(32), **over,
    }  # fmt: skip
    insert(db, table, event_id=event_id, **given)
    return event_id


def settled(db: Connection, state: str) -> None:
    stripe_event(db)
    execute(
        db,
        "UPDATE billing.stripe_event_work SET state = :state, attempts = 1, run_id = 'run', last_error = 'boom',"
        " applied_at = CASE WHEN :state = 'applied' THEN now() END",
        state=state,
    )


@pytest.mark.parametrize("table", ["stripe_events", "stripe_event_conflicts"])
@pytest.mark.parametrize(
    "statement", ["UPDATE billing.{} SET type = 'x'", "DELETE FROM billing.{}", "TRUNCATE billing.{} CASCADE"]
)
def test_what_stripe_said_is_append_only(db: Connection, table: str, statement: str):
    stripe_event(db)
    stripe_event(db, table="stripe_event_conflicts", content_sha256=b"1" * 32)
    with refused(db, "append-only|would never be applied"):
        execute(db, statement.format(table))


@pytest.mark.parametrize(
    "over",
    [
        {"event_id": ""}, {"event_id": "evt 1"}, {"event_id": "evt_ä"}, {"type": ""}, {"object_id": ""},
        {"created": "infinity"}, {"source": "mail"}, {"body_sha256": b"short"}, {"content_sha256": b""},
        {"key_id": ""}, {"body": None}, {"account": ""}, {"api_version": " "},
    ],
)  # fmt: skip
def test_an_event_that_cannot_be_named_or_opened_is_refused(db: Connection, over: dict[str, Any]):
    with refused(db, "check constraint|null value"):
        stripe_event(db, **over)


def test_a_conflict_is_with_an_event_that_is_there(db: Connection):
    with refused(db, "foreign key"):
        stripe_event(db, "evt_9", table="stripe_event_conflicts")


def test_every_event_has_its_work_from_the_start(db: Connection):
    stripe_event(db)
    assert value(db, "SELECT state FROM billing.stripe_event_work WHERE event_id = 'evt_1'") == "pending"
    with refused(db, "stripe_event_work_pkey"):
        insert(db, "stripe_event_work", event_id="evt_1")


@pytest.mark.parametrize("over", [{"state": "ignored"}, {"attempts": 1}, {"replays": 1}])
def test_work_starts_pending(db: Connection, over: dict[str, Any]):
    with refused(db, "starts pending"):
        insert(db, "stripe_event_work", event_id="evt_9", **over)


@pytest.mark.parametrize("statement", ["DELETE FROM", "TRUNCATE"])
def test_work_is_never_dropped(db: Connection, statement: str):
    stripe_event(db)
    with refused(db, "would never be applied"):
        execute(db, f"{statement} billing.stripe_event_work")


@pytest.mark.parametrize("before", ["pending", "waiting"])
@pytest.mark.parametrize("after", ["pending", "waiting", "applied", "ignored", "dead"])
def test_open_work_goes_to_any_state(db: Connection, before: str, after: str):
    settled(db, before)
    with undone(db):
        execute(
            db,
            "UPDATE billing.stripe_event_work SET state = :state, attempts = 2, due_at = now() + interval '1 minute',"
            " applied_at = CASE WHEN :state = 'applied' THEN now() END",
            state=after,
        )


@pytest.mark.parametrize("before", ["applied", "ignored", "dead"])
@pytest.mark.parametrize("after", ["pending", "waiting", "applied", "ignored", "dead"])
def test_ended_work_goes_nowhere_by_itself(db: Connection, before: str, after: str):
    settled(db, before)
    with refused(db, "only a replay opens it again"):
        execute(
            db,
            "UPDATE billing.stripe_event_work SET state = :state, run_id = 'other',"
            " applied_at = CASE WHEN :state = 'applied' THEN now() END",
            state=after,
        )


@pytest.mark.parametrize("before", ["pending", "waiting", "applied", "ignored", "dead"])
def test_a_replay_opens_any_work_again(db: Connection, before: str):
    settled(db, before)
    with undone(db):
        execute(
            db,
            "UPDATE billing.stripe_event_work SET state = 'pending', replays = replays + 1, attempts = 0,"
            " applied_at = NULL, due_at = now(), last_error = NULL",
        )


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ("replays = replays + 1", "starts pending, with no attempt"),
        ("replays = replays + 1, state = 'pending', applied_at = NULL", "starts pending, with no attempt"),
        ("replays = replays + 2, state = 'pending', attempts = 0, applied_at = NULL", "counted one by one"),
        ("replays = replays - 1", "counted one by one"),
    ],
)
def test_a_replay_is_counted_and_starts_anew(db: Connection, change: str, because: str):
    settled(db, "applied")
    with refused(db, because):
        execute(db, f"UPDATE billing.stripe_event_work SET {change}")


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ("attempts = 2", "counted one by one"),
        ("attempts = -1", "counted one by one"),
        ("event_id = 'evt_2'", "stays its own"),
        ("state = 'applied'", "check"),
        ("applied_at = now()", "check"),
        ("state = 'dead'", "check"),
        ("state = 'done'", "state_check"),
        ("due_at = 'infinity'", "due_at_check"),
        ("last_error = ''", "last_error_check"),
        ("run_id = ''", "run_id_check"),
    ],
)
def test_work_claims_nothing_that_cannot_be(db: Connection, change: str, because: str):
    stripe_event(db)
    stripe_event(db, "evt_2")
    with refused(db, because):
        execute(db, f"UPDATE billing.stripe_event_work SET {change} WHERE event_id = 'evt_1'")
