"""The billing database as the rooms see it: transactions and queries."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, cast

import psycopg
from sqlalchemy import URL, Connection, Engine, QueuePool, text

SPARE = 3
"""Connections that threads share for what they ask in between, beside the ones that they hold."""


@dataclass(frozen=True)
class Warehouse:
    """A connection pool to the billing database, and Dagster's storage beside it."""

    engine: Engine
    dagster_url: URL
    keep_alive: object = None
    """The handle that keeps an embedded server running."""

    def threads(self, wanted: int) -> int:
        """How many threads may hold a connection each, so that each of them can still ask beside it."""
        pool = self.engine.pool
        return max(1, min(wanted, pool.size() - SPARE)) if isinstance(pool, QueuePool) else wanted

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on any exception."""
        with self.engine.begin() as connection:
            yield connection

    def rows(self, statement: str, /, **parameters: object) -> list[dict[str, Any]]:
        """All rows of a query as dictionaries. `numeric` arrives as Decimal."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement), parameters).mappings()]

    def look_up(self, statement: LiteralString, /, **parameters: object) -> tuple[Any, ...] | None:
        """The first row of a query, its values in order, None without rows; parameters are written `%(name)s`.

        For what is asked at every request: in one round trip, without a transaction and what SQLAlchemy does around
        one, which costs several times the CPU of the query. Of a connection that fails the pool is asked for another.
        """
        held = self.engine.raw_connection()
        try:
            driver = cast("psycopg.Connection[Any]", held.driver_connection)
            driver.autocommit = True
            row: tuple[Any, ...] | None = driver.execute(statement, parameters).fetchone()
            driver.autocommit = False
        except psycopg.Error:
            held.invalidate()
        else:
            return row
        finally:
            held.close()
        with self.engine.connect() as connection:
            found = connection.exec_driver_sql(statement, parameters).first()
        return None if found is None else tuple(found)

    def scalar(self, statement: str, /, **parameters: object) -> Any:
        """First column of the first row, None without rows."""
        with self.engine.connect() as connection:
            return connection.execute(text(statement), parameters).scalar()
