"""Makes the rows of a month equal to the wanted ones, touching only those that differ.

What a month consists of is written in sql/; no rule of billing belongs here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from billing_pipeline.postgres.connections import joined_in_bulk


@dataclass(frozen=True)
class Change:
    """What replacing a month's rows did."""

    inserted: int
    deleted: int


def replace_rows(
    connection: Connection,
    table: str,
    built: str,
    scope: str,
    parameters: Mapping[str, object],
    *,
    key: Sequence[str],
    ignore: Sequence[str] = ("run_id",),
) -> Change:
    """Make the rows of `table` in `scope` equal to those of `built`, touching only those that differ.

    Args:
        connection: an open transaction.
        table: `billing.<asset>`.
        built: a SELECT of the wanted rows, with the table's column names; or the name of a table of them.
        scope: condition on the table's rows that may be replaced (alias `t`).
        parameters: values of the named parameters in `built` and `scope`.
        key: columns that identify a row.
        ignore: columns that may differ without making the row another one.
    """
    columns = _writable_columns(connection, table)
    never_null = {name for name in key if not columns[name]}
    names = ", ".join(columns)
    with joined_in_bulk(connection):
        existing = connection.execute(text(f"SELECT EXISTS (SELECT FROM {table} AS t WHERE {scope})"), parameters)
        if not existing.scalar():
            result = connection.execute(
                text(f"INSERT INTO {table} ({names}) SELECT {names} FROM ({built}) AS b"), parameters
            )
            return Change(result.rowcount, 0)
        connection.execute(text("DROP TABLE IF EXISTS pg_temp.built, pg_temp.gone"))
        connection.execute(
            text(f"CREATE TEMP TABLE built ON COMMIT DROP AS SELECT {names} FROM ({built}) AS b"), parameters
        )
    connection.execute(text("ANALYZE pg_temp.built"))

    def matched(other: str, compared: Iterable[str]) -> str:
        # only `=` can be hashed, and it loses rows whose key has a null
        return " AND ".join(
            f"t.{name} {'=' if name in never_null else 'IS NOT DISTINCT FROM'} {other}.{name}" for name in compared
        )

    same = matched("b", (name for name in columns if name not in ignore))
    keys = ", ".join(f"t.{name}" for name in key)
    with joined_in_bulk(connection):
        connection.execute(
            text(
                f"CREATE TEMP TABLE gone ON COMMIT DROP AS SELECT {keys} FROM {table} AS t"
                f" WHERE {scope} AND NOT EXISTS (SELECT FROM pg_temp.built AS b WHERE {same})"
            ),
            parameters,
        )
    match = matched("g", key)
    deleted = connection.execute(text(f"DELETE FROM {table} AS t USING pg_temp.gone AS g WHERE {match}")).rowcount
    by_key = matched("b", key)
    inserted = connection.execute(
        text(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM pg_temp.built AS b"
            f" WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {by_key})"
        )
    ).rowcount
    return Change(inserted, deleted)


def _writable_columns(connection: Connection, table: str) -> dict[str, bool]:
    """Whether each column may be null."""
    schema, name = table.split(".")
    found = connection.execute(
        text(
            "SELECT column_name, is_nullable FROM information_schema.columns"
            " WHERE table_schema = :schema AND table_name = :name"
            " AND is_generated = 'NEVER' ORDER BY ordinal_position"
        ),
        {"schema": schema, "name": name},
    )
    return {str(row.column_name): row.is_nullable == "YES" for row in found}
