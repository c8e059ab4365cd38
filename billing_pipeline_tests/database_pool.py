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

# how long a file is, is asked of its folder: PostgreSQL would look up all that it knows of each table first
_TABLES: LiteralString = """
SELECT c.oid::regclass::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_|^information_schema$'
    AND (pg_stat_file(pg_relation_filepath(c.oid), true)).size > 0
"""
# what of a table is compared shows whether a row was written, even if it was written back: its place and transaction
_TRACE: LiteralString = "SELECT {}, md5(string_agg(ctid::text || xmin::text, ' ' ORDER BY ctid)) FROM {}"
_COLUMNS: LiteralString = """
SELECT attname FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
_SEQUENCES: LiteralString = """
SELECT format('%I.%I', schemaname, sequencename) AS name, coalesce(last_value, start_value) AS value,
    last_value IS NOT NULL AS is_called
FROM pg_sequences
"""
# everything but rows: tables and their owners and rights, columns, triggers, constraints, functions, settings.
# Whose transactions count, what is new has a later one than all of the template: so many with that sum are the same.
_SHAPE: LiteralString = """
SELECT concat_ws(
    ' ',
    (
        SELECT sum(hash_record_extended(ROW(oid, relname, relkind, relowner, relacl, reloptions, relhastriggers), 0))
        FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't'
    ),
    (SELECT count(*) || ' ' || sum(xmin::text::bigint) FROM pg_attribute WHERE attrelid >= 16384),
    (SELECT sum(hash_record_extended(ROW(oid, tgenabled, tgfoid), 0)) FROM pg_trigger),
    (SELECT count(*) || ' ' || sum(xmin::text::bigint) FROM pg_constraint WHERE oid >= 16384),
    (SELECT count(*) || ' ' || sum(xmin::text::bigint) FROM pg_proc WHERE oid >= 16384),
    (SELECT count(*) || ' ' || sum(xmin::text::bigint) FROM pg_rewrite WHERE oid >= 16384),
    (
        SELECT count(*) || ' ' || sum(xmin::text::bigint)
        FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)'
    ),
    (
        SELECT sum(hash_record_extended(ROW(setrole, setconfig), 0))
        FROM pg_db_role_setting WHERE setdatabase = d.oid
    ),
    hash_record_extended(ROW(datdba, datacl, datconnlimit, datallowconn), 0)
)
FROM pg_database AS d WHERE datname = current_database()
"""
# a copy has none of the rights to the database as a whole
_SAME_RIGHTS: LiteralString = """
UPDATE pg_database AS d SET datacl = t.datacl FROM pg_database AS t
WHERE t.datname = %s AND d.datname = %s AND t.datacl IS NOT NULL
"""
_OTHERS: LiteralString = """
SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
WHERE datname = %s AND backend_type = 'client backend'
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
        self._kept: psycopg.Connection[Any] | None = None

    def take(self, name: str | None = None) -> str:
        """The name of a database that nobody else uses until it is given back: this one, or a new one."""
        taken = self._free.pop() if self._free else self._copied()
        self._rename(taken, name := name or taken)
        self._used.add(name)
        return name

    def _copied(self) -> str:
        name = _new_name()
        # files are copied at a tenth of what writing every block to the log costs
        self._ask(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(self._template)
            )
        )
        self._ask(_SAME_RIGHTS, [self._template, name])
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
            self._ask(_OTHERS, [name])
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
        """Drop what is there, and the connection."""
        while self._free:
            self.drop(self._free.pop())
        if self._kept is not None:
            self._kept.close()

    def drop(self, name: str) -> None:
        """Nobody uses it any more, and nobody will."""
        self._ask(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _rename(self, name: str, new_name: str) -> None:
        if name == new_name:
            return
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        self._ask(rename.format(sql.Identifier(name), sql.Identifier(new_name)))
        if name in self._traces:
            self._traces[new_name] = self._traces.pop(name)

    def _ask(self, statement: LiteralString | sql.Composed, values: Sequence[object] | None = None) -> None:
        """On a connection that is kept from test to test: to open one costs as much as all that is asked of it."""
        if self._kept is None or self._kept.closed:
            self._kept = self._connect("postgres")
        try:
            self._kept.execute(statement, values)
        except psycopg.OperationalError:
            if not self._kept.broken:
                raise
            # a test ended the server and started it anew
            self._kept = self._connect("postgres")
            self._kept.execute(statement, values)

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
    each = [sql.SQL(_TRACE).format(name, _named(name)) for name in tables]
    return dict(connection.execute(sql.SQL(" UNION ALL ").join(each)).fetchall()) if each else {}


def _shape(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute(_SHAPE).fetchone()
    return str(row and row[0])


def _sequences(connection: psycopg.Connection[Any]) -> dict[str, tuple[int, bool]]:
    return {name: (value, is_called) for name, value, is_called in connection.execute(_SEQUENCES).fetchall()}


def _named(table: str) -> sql.Composable:
    return sql.SQL(table)  # type: ignore[arg-type]  # a regclass's text is quoted already
