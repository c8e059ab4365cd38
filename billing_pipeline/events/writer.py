"""The receiver's connections to Postgres: a handful, opened when they are needed and thrown away when they fail.

What is stored is decided in store.py; here is only how to get there when the database goes away and comes back.
"""

import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.rules.received_event import ReceivedEvent
from billing_pipeline.events.store import Outcome, Source, keep_foreign, store_event
from billing_pipeline.postgres.session import prepare
from billing_pipeline.settings import SettingsError

CONNECT_WITHIN_S = 3
STATEMENT_WITHIN_S = 4
T = TypeVar("T")

_OTHER_ROLE = "SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'billing_receiver'"
_MAY_STORE = (
    "SELECT has_table_privilege('billing.stripe_events', 'INSERT')"
    " AND has_table_privilege('billing.stripe_event_conflicts', 'INSERT')"
    " AND has_table_privilege('billing.stripe_foreign_events', 'INSERT')"
)


class DatabaseAway(Exception):  # noqa: N818 - reads as what happened
    """The database did not take the event; the text says why and holds nothing of the event."""


class EventWriter:
    """Stores events, from as many threads as ask; each uses one connection at a time."""

    def __init__(self, database_url: str, cipher: EventCipher) -> None:
        self._conninfo = libpq_url(database_url)
        self._cipher = cipher
        self._idle: deque[psycopg.Connection[Any]] = deque()

    def store(self, event: ReceivedEvent, source: Source = "webhook") -> Outcome:
        """Store and commit.

        Raises:
            DatabaseAway: whether it was stored is not known; storing it again is safe.
        """
        return self._attempt(lambda connection: store_event(connection, event, source, self._cipher))

    def keep_foreign(self, event: ReceivedEvent) -> Outcome:
        """Keep the envelope of an event that is not ours, and commit.

        Raises:
            DatabaseAway: whether it was kept is not known; keeping it again is safe.
        """
        return self._attempt(lambda connection: keep_foreign(connection, event))

    def check(self) -> None:
        """Whether events could be stored right now.

        Raises:
            DatabaseAway: they could not, and why.
        """
        granted = self._attempt(lambda connection: connection.execute(_MAY_STORE).fetchone())
        if granted is None or not granted[0]:
            raise DatabaseAway("the role may not insert into the event tables")

    def close(self) -> None:
        """Close the connections; nobody may be using one."""
        while self._idle:
            self._idle.pop().close()

    def _attempt(self, action: Callable[[psycopg.Connection[Any]], T]) -> T:
        """On a connection that is there; on a fresh one if that turns out to have died since it was used."""
        try:
            if self._idle:
                with suppress(IndexError, _Died):  # another thread may take the last one
                    return self._on(self._idle.pop(), action)
            return self._on(self._connect(), action)
        except (_Died, SettingsError) as error:
            raise DatabaseAway(str(error)) from None
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.ProgrammingError) as error:
            # also what is not migrated or not granted: mended here, and Stripe sends again
            raise DatabaseAway(_reason(error)) from None

    def _on(self, connection: psycopg.Connection[Any], action: Callable[[psycopg.Connection[Any]], T]) -> T:
        try:
            result = action(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if connection.closed:
                raise _Died(_reason(error)) from None
            connection.close()
            raise
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return result

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            self._conninfo,
            autocommit=True,  # a statement an event: it has committed when it returns
            connect_timeout=CONNECT_WITHIN_S,
            tcp_user_timeout=STATEMENT_WITHIN_S * 1000,
            application_name="billing receiver",
        )
        try:
            prepare(connection, STATEMENT_WITHIN_S)
            member = connection.execute(_OTHER_ROLE).fetchone()
            if member is not None and member[0]:
                with suppress(psycopg.errors.InsufficientPrivilege):  # then it keeps the rights of its login
                    connection.execute("SET ROLE billing_receiver")
        except BaseException:
            connection.close()
            raise
        return connection


class _Died(Exception):  # noqa: N818 - reads as what happened
    """The connection broke under a statement."""


def libpq_url(url: str) -> str:
    """A database URL without SQLAlchemy's driver name.

    Raises:
        SettingsError: it is no PostgreSQL URL. Its text does not repeat it: it may hold a password.
    """
    plain = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    try:
        conninfo_to_dict(plain)
    except psycopg.ProgrammingError:
        raise SettingsError("the receiver's database: expected postgresql://user@host/database") from None
    return plain


def _reason(error: psycopg.Error) -> str:
    """The server's sentence, or the kind of failure; never the statement's values."""
    return error.diag.message_primary or str(error).strip().splitlines()[0] or type(error).__name__
