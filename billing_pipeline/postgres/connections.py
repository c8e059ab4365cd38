"""What an open connection can be asked for beyond SQLAlchemy: psycopg under it, no transaction, joins of whole sets."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from sqlalchemy import URL, Connection, text


def raw(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection under a SQLAlchemy one, for COPY."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def libpq_url(url: URL) -> str:
    """The URL as psycopg, psql and other users of libpq read it: with its password, a space in a value as %20."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    place, mark, query = plain.partition("?")
    return place + mark + query.replace("+", "%20")


@contextmanager
def each_by_itself(connection: Connection) -> Iterator[Connection]:
    """Each statement of the block commits by itself: one round trip instead of three. No transaction may be open."""
    connection.execution_options(isolation_level="AUTOCOMMIT")
    try:
        yield connection
    finally:
        connection.rollback()  # of nothing: SQLAlchemy keeps its own account
        if not connection.invalidated:
            connection.execution_options(isolation_level=connection.default_isolation_level)


@contextmanager
def joined_in_bulk(connection: Connection) -> Iterator[None]:
    """Within it, the transaction joins whole sets (hash, merge) and never looks rows up one by one.

    A month's rows are seconds old when the next build reads them, and statistics know nothing of them: the planner
    takes them for a handful, and would compare half a million rows with half a million by nested loops.
    """
    connection.execute(text("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"))
    yield
    connection.execute(text("SET LOCAL enable_nestloop = on"))
