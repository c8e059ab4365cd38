"""The one door through which Stripe's events come in, for the webhook receiver and for the sweep.

It needs no more than INSERT on three tables and runs on a bare psycopg connection, so that the receiver stays small.
Nothing is interpreted here.
"""

from typing import Any, Literal

import psycopg

from billing_pipeline.events.cipher import EventCipher, EventCipherError
from billing_pipeline.events.rules.received_event import ReceivedEvent, parse_event

__all__ = ["Outcome", "Source", "keep_foreign", "parse_event", "read_body", "store_event"]

Source = Literal["webhook", "sweep"]
Outcome = Literal["stored", "known", "conflict", "not ours"]

_COLUMNS = (
    "event_id, type, object_id, created, livemode, account, api_version, source, body, key_id, body_sha256,"
    " content_sha256"
)
_VALUES = (
    "%(event_id)s, %(type)s, %(object_id)s, %(created)s, %(livemode)s, %(account)s, %(api_version)s, %(source)s,"
    " %(body)b, %(key_id)s, %(body_sha256)b, %(content_sha256)b"
)
# without a conflict target, which would need the right to read
_STORE = f"INSERT INTO billing.stripe_events ({_COLUMNS}) VALUES ({_VALUES}) ON CONFLICT DO NOTHING"
_ENVELOPE = ("event_id", "type", "created", "livemode", "account")
_KEEP_FOREIGN = (
    f"INSERT INTO billing.stripe_foreign_events ({', '.join(_ENVELOPE)})"
    f" VALUES ({', '.join(f'%({name})s' for name in _ENVELOPE)}) ON CONFLICT DO NOTHING"
)
_KEEP_ASIDE = f"INSERT INTO billing.stripe_event_conflicts ({_COLUMNS}) VALUES ({_VALUES}) ON CONFLICT DO NOTHING"


def store_event(
    connection: psycopg.Connection[Any], event: ReceivedEvent, source: Source, cipher: EventCipher
) -> Outcome:
    """Store an event within the caller's transaction; it is safe once that has committed.

    Two at once with the same id: the second waits for the first to commit and is compared with it.

    Args:
        connection: psycopg's own, in READ COMMITTED; from SQLAlchemy by `connections.raw`.
        event: `parse_event` of the bytes. A sweep passes the event's JSON as Stripe's API gave it.
        source: how it came.
        cipher: encrypts the body.

    Returns:
        "stored"; "known": an event of this id that says the same is there (or this very contradiction is kept aside
        already); "conflict": one is there that says something else, and this copy was kept aside. A row in
        stripe_event_conflicts is an alarm.
    """
    values = {
        "event_id": event.event_id,
        "type": event.type,
        "object_id": event.object_id,
        "created": event.created,
        "livemode": event.livemode,
        "account": event.account,
        "api_version": event.api_version,
        "source": source,
        "body": cipher.encrypt(event.event_id, event.body),
        "key_id": cipher.key_id,
        "body_sha256": event.body_sha256,
        "content_sha256": event.content_sha256,
    }
    if connection.execute(_STORE, values).rowcount == 1:
        return "stored"
    if connection.execute(_KEEP_ASIDE, values).rowcount == 1:
        return "conflict"
    return "known"


def keep_foreign(connection: psycopg.Connection[Any], event: ReceivedEvent) -> Outcome:
    """Keep the envelope of an event of another account or mode, once; nothing of its body, and it is never processed.

    Stripe is answered all the same: an endpoint that refuses what it is sent is tried for days and then switched off.
    """
    connection.execute(_KEEP_FOREIGN, {name: getattr(event, name) for name in _ENVELOPE})
    return "not ours"


def read_body(connection: psycopg.Connection[Any], event_id: str, cipher: EventCipher) -> bytes:
    """The bytes of a stored event, exactly as received.

    Raises:
        EventCipherError: there is no such event, or its body does not open.
    """
    row = connection.execute(
        "SELECT key_id, body FROM billing.stripe_events WHERE event_id = %s", [event_id], binary=True
    ).fetchone()
    if row is None:
        raise EventCipherError(f"event {event_id} is not stored")
    return cipher.decrypt(event_id, row[0], row[1])
