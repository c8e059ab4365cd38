"""Databases that tests use one after the other.

Making one costs PostgreSQL a thousand files, and as many when it goes: half of what the tests took. So the rows of a used
one are deleted and those of its template put back, and its tables vacuumed until they are of no page again. A database
in which a test changed more than rows is dropped, as is one that does not come out as it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql

# what of a table is compared shows whether a row was written, even if it was written back: its place and transaction
_TABLES: LiteralString = """
SELECT c.oid::regclass::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_|^information_schema$' AND pg_relation_size(c.oid) > 0
"""
_TRACE: LiteralString = "SELECT md5(string_agg(ctid::text || xmin::text, ' ' ORDER BY ctid)) FROM {}"
_COLUMNS: LiteralString = """
SELECT attname FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
_SEQUENCES: LiteralString = """
SELECT format('%I.%I', schemaname, sequencename) AS name, coalesce(last_value, start_value) AS value,
    last_value IS NOT NULL AS is_called
FROM pg_sequences
"""
# everything but rows: tables and their owners and rights, columns, triggers, constraints, functions, settings
_SHAPE: LiteralString = """
SELECT md5(string_agg(part, ' ' ORDER BY part)) FROM (
    SELECT concat_ws(',', 'class', oid, relname, relkind, relowner, relacl, reloptions, relhastriggers) AS part
    FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't'
    UNION ALL SELECT concat_ws(',', 'column', attrelid, attname, xmin) FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT concat_ws(',', 'trigger', oid, tgenabled, tgfoid) FROM pg_trigger
    UNION ALL SELECT concat_ws(',', 'constraint', oid, xmin) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT concat_ws(',', 'function', oid, xmin) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT concat_ws(',', 'rule', oid, xmin) FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT concat_ws(',', 'schema', oid, xmin) FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)'
    UNION ALL SELECT concat_ws(',', 'setting', setrole, setconfig)
    FROM pg_db_role_setting JOIN pg_database AS d ON d.oid = setdatabase AND d.datname = current_database()
    UNION ALL SELECT concat_ws(',', 'database', datdba, datacl, datconnlimit, datallowconn)
    FROM pg_database WHERE datname = current_database()
) AS parts
"""
# a copy has none of the rights to the database as a whole
_SAME_RIGHTS: LiteralString = """
UPDATE pg_database AS d SET datacl = t.datacl FROM pg_database AS t
WHERE t.datname = %s AND d.datname = %s AND t.datacl IS NOT NULL
"""
_OTHERS: LiteralString = """
SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass(frozen=True)
class _Rows:
    columns: sql.Composable
    copied: bytes


@dataclass(frozen=True)
class _Contents:
    """What is in a template: its shape, the tables that have rows with their traces, and where its sequences are."""

    shape: str
    rows: Mapping[str, _Rows]
    traces: Mapping[str, str]
    sequences: Mapping[str, tuple[int, bool]]


class DatabasePool:
    """Databases that are as one template is, to which nobody is connected."""

    def __init__(self, server_url: str, template: str) -> None:
        """`server_url`: psycopg's, of a superuser, whose database is replaced by the names of ours."""
        self._url = server_url
        self._template = template
        self._free: list[str] = []
        self._used: set[str] = set()
        self._traces: dict[str, Mapping[str, str]] = {}
        self._contents: _Contents | None = None

    def take(self, name: str | None = None) -> str:
        """The name of a database that nobody else uses until it is given back: this one, or a new one."""
        taken = self._free.pop() if self._free else self._copied()
        self._rename(taken, name := name or taken)
        self._used.add(name)
        return name

    def _copied(self) -> str:
        name = _new_name()
        with self._connect("postgres") as connection:
            # files are copied at a tenth of what writing every block to the log costs
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(self._template)
                )
            )
            connection.execute(_SAME_RIGHTS, [self._template, name])
        return name

    def took(self, name: str) -> bool:
        """Whether the database is one of these, and was not given back."""
        return name in self._used

    def give_back(self, name: str) -> None:
        """Nobody uses it any more: whoever is still connected is cut off, and finds nothing under this name."""
        if self._contents is None:
            with self._connect(self._template) as connection:
                self._contents = _read(connection)
        self._used.discard(name)
        before = self._traces.pop(name, self._contents.traces)
        try:
            with self._connect(name) as connection:
                traces = _restore(connection, self._contents, before)
        except psycopg.Error:
            traces = None
        if traces is None:
            self.drop(name)
            return
        self._traces[name] = traces
        self._rename(name, new_name := _new_name())
        self._free.append(new_name)

    def close(self) -> None:
        """Drop what is there."""
        while self._free:
            self.drop(self._free.pop())

    def drop(self, name: str) -> None:
        """Nobody uses it any more, and nobody will."""
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _rename(self, name: str, new_name: str) -> None:
        if name == new_name:
            return
        with self._connect("postgres") as connection:
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(name), sql.Identifier(new_name)))
        if name in self._traces:
            self._traces[new_name] = self._traces.pop(name)

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, dbname=database, autocommit=True)


def _new_name() -> str:
    return f"test_{uuid4().hex[:12]}"


def _read(connection: psycopg.Connection[Any]) -> _Contents:
    rows = {}
    for name in _written(connection):
        columns = sql.SQL(", ").join(
            sql.Identifier(column) for (column,) in connection.execute(_COLUMNS, [name]).fetchall()
        )
        with connection.cursor().copy(sql.SQL("COPY {} ({}) TO STDOUT").format(_named(name), columns)) as copied:
            rows[name] = _Rows(columns, b"".join(bytes(block) for block in copied))
    return _Contents(_shape(connection), rows, _traces(connection, rows), _sequences(connection))


def _restore(
    connection: psycopg.Connection[Any], contents: _Contents, before: Mapping[str, str]
) -> Mapping[str, str] | None:
    """Make the rows those of the template; the traces of its tables after that, None if it was not to be done."""
    connection.execute(_OTHERS)
    if _shape(connection) != contents.shape:
        return None
    now = _traces(connection, contents.rows)
    changed = [name for name in before if now[name] != before[name]]
    written = [*changed, *(_written(connection) - contents.rows.keys())]
    connection.execute("SET session_replication_role = replica")
    _empty(connection, written)
    if _written(connection) & set(written):
        return None
    for name in changed:
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(_named(name), contents.rows[name].columns)
        with connection.cursor().copy(into) as copied:
            copied.write(contents.rows[name].copied)
    for name, place in _sequences(connection).items():
        if place != contents.sequences[name]:
            connection.execute("SELECT setval(%s, %s, %s)", [name, *contents.sequences[name]])
    return now | _traces(connection, changed)


def _empty(connection: psycopg.Connection[Any], tables: Sequence[str]) -> None:
    if not tables:
        return
    with connection.transaction():
        for name in tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(_named(name)))
    names = sql.SQL(", ").join(_named(name) for name in tables)
    connection.execute(sql.SQL("VACUUM (INDEX_CLEANUP ON, TRUNCATE ON, PARALLEL 0) {}").format(names))


def _written(connection: psycopg.Connection[Any]) -> set[str]:
    return {name for (name,) in connection.execute(_TABLES).fetchall()}


def _traces(connection: psycopg.Connection[Any], tables: Iterable[str]) -> dict[str, str]:
    return {name: _one(connection, sql.SQL(_TRACE).format(_named(name))) for name in tables}


def _shape(connection: psycopg.Connection[Any]) -> str:
    return _one(connection, sql.SQL(_SHAPE))


def _one(connection: psycopg.Connection[Any], query: sql.SQL | sql.Composed) -> str:
    row = connection.execute(query).fetchone()
    return str(row and row[0])


def _sequences(connection: psycopg.Connection[Any]) -> dict[str, tuple[int, bool]]:
    return {name: (value, is_called) for name, value, is_called in connection.execute(_SEQUENCES).fetchall()}


def _named(table: str) -> sql.Composable:
    return sql.SQL(table)  # type: ignore[arg-type]  # a regclass's text is quoted already
