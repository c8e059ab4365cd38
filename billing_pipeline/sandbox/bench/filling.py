"""Millions of rows at once in a server whose data is thrown away: past the triggers, indexes made when all are there.

Whoever fills says what the triggers would have written beside the rows. Constraints of a row hold; foreign keys are not
looked at.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse

_MAY_BE_LOST = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "16GB", "autovacuum": "off"
}  # fmt: skip
_PAST_TRIGGERS = """
SET LOCAL session_replication_role = replica;
SET LOCAL work_mem = '256MB';
SET LOCAL maintenance_work_mem = '1GB';
SET LOCAL jit = off
"""
# an index that is not ready is not kept up, one that is not valid not looked at; REINDEX makes them both
_LEAVE_INDEXES = """
UPDATE pg_catalog.pg_index SET indisready = FALSE, indisvalid = FALSE
WHERE indrelid IN (
    SELECT c.oid FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind = 'r'
)
"""
_LEFT = "SELECT DISTINCT indrelid::regclass::text FROM pg_catalog.pg_index WHERE NOT indisready ORDER BY 1"


@contextmanager
def filled_at_once(warehouse: Warehouse) -> Iterator[Connection]:
    """A transaction as the server's superuser, at whose end everything is indexed, vacuumed and analysed."""
    _set(warehouse, [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in _MAY_BE_LOST.items()])
    with warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text(_PAST_TRIGGERS))
        connection.execute(text(_LEAVE_INDEXES))
        yield connection
        for (table,) in connection.execute(text(_LEFT)).all():
            connection.execute(text(f"REINDEX TABLE {table}"))
    _set(warehouse, ["VACUUM (ANALYZE, FREEZE)", *(f"ALTER SYSTEM RESET {name}" for name in _MAY_BE_LOST)])


def _set(warehouse: Warehouse, statements: list[str]) -> None:
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET ROLE NONE")
        for statement in (*statements, "SELECT pg_reload_conf()"):
            connection.exec_driver_sql(statement)
        connection.invalidate()  # the next one works as the pipeline
