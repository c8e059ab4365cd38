"""What Postgres says when it refuses, in one line, and which refusals are a rule of ours."""

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

FOREIGN_KEY = "23503"
"""SQLSTATE: a row names another one that is not there."""

UNIQUE = "23505"
"""SQLSTATE: there is such a row already."""

RULE = "P0001"
"""SQLSTATE of RAISE EXCEPTION: a rule of ours spoke, in words for people (PostgreSQL, appendix A)."""

RESTRICTED = "23001"
"""SQLSTATE restrict_violation: a trigger of ours spoke, in words for people."""

_SERVERS_OWN = (
    psycopg.OperationalError,  # it is away, full, shut down, too slow; a lock was not to be had
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


def database_reason(error: DBAPIError | psycopg.Error) -> str:
    """The primary message, without detail, hint and context; a lost connection's first line."""
    raised = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(raised, psycopg.Error) and raised.diag.message_primary:
        return raised.diag.message_primary
    lines = str(raised).strip().splitlines()
    return lines[0] if lines else type(raised).__name__


def violated(error: DBAPIError | psycopg.Error) -> str | None:
    """The constraint or unique index that refused, by its name; None: something else did."""
    raised = error.orig if isinstance(error, DBAPIError) else error
    return raised.diag.constraint_name if isinstance(raised, psycopg.Error) else None


def sqlstate(error: DBAPIError | psycopg.Error) -> str | None:
    """The five characters that say what kind of refusal it is; None: there was no answer."""
    raised = error.orig if isinstance(error, DBAPIError) else error
    return raised.sqlstate if isinstance(raised, psycopg.Error) else None


def is_full(error: DBAPIError | psycopg.Error) -> bool:
    """Whether the server, or a pooler before it, has no connection left for us."""
    # a connection that was never made has no SQLSTATE in psycopg, only libpq's text
    words = ("too many", "connection slots", "no more connections allowed")
    return sqlstate(error) == "53300" or any(each in str(error) for each in words)


def refusal(error: BaseException) -> str | None:
    """In one line, what the server, or a rule of ours in it, has against it; None: the fault is another.

    The transaction that was open is gone with everything in it.
    """
    if isinstance(error, PoolTimeoutError):
        return "all connections that this process may have are in use: BILLING_DATABASE_CONNECTIONS says how many"
    raised = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(raised, psycopg.Error):
        return None
    if raised.sqlstate in (RULE, RESTRICTED):
        return database_reason(raised)
    return f"the database: {database_reason(raised)}" if isinstance(raised, _SERVERS_OWN) else None
