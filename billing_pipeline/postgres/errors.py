"""What Postgres says when it refuses, in one line, and which refusals are a rule of ours."""

import psycopg
from sqlalchemy.exc import DBAPIError

FOREIGN_KEY = "23503"
"""SQLSTATE: a row names another one that is not there."""

UNIQUE = "23505"
"""SQLSTATE: there is such a row already."""

RULE = "P0001"
"""SQLSTATE of RAISE EXCEPTION: a rule of ours spoke, in words for people (PostgreSQL, appendix A)."""


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
