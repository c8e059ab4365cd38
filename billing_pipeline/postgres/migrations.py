"""Applies sql/migrations in order and keeps sql/functions and sql/views current.

The packages that migrate by plain SQL files were looked at first: none of the kept ones records the content it applied,
and an applied migration that was edited must be refused, not skipped.
"""

import re
from dataclasses import dataclass
from graphlib import TopologicalSorter
from hashlib import sha256

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.locks import lock_migrations
from billing_pipeline.postgres.roles import as_owner, grant, make_roles
from billing_pipeline.postgres.sql_files import load_sql, sql_files
from billing_pipeline.postgres.sql_functions import (
    FunctionFile,
    changed_functions,
    make_functions_that_can_be,
    read_functions,
    replace_functions,
)
from billing_pipeline.postgres.warehouse import Warehouse

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+$")
_BEFORE_THE_BASELINE = "0002_platform"
"""A file that only databases of before the baseline have: its 23 files became one a subject."""


class MigrationError(UserError):
    """The files under sql/migrations do not continue what the database has; the text names the file."""


@dataclass(frozen=True)
class Migration:
    """One file: its four-digit number and name, its text and the text's digest."""

    name: str
    body: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return sha256(self.body.encode()).hexdigest()


def read_migrations() -> list[Migration]:
    """The files of sql/migrations, numbered 0001, 0002, … without a gap.

    Raises:
        MigrationError: a name or a number is out of line.
    """
    found = [Migration(path.stem, path.read_text(encoding="utf-8")) for path in sql_files("migrations")]
    for number, migration in enumerate(found, start=1):
        match = _NAME.match(migration.name)
        if match is None or int(match[1]) != number:
            raise MigrationError(f"sql/migrations/{migration.name}.sql: expected a name that starts with {number:04}_")
    return found


def applied_count(warehouse: Warehouse) -> int:
    """How many migrations the database has."""
    return int(warehouse.scalar("SELECT count(*) FROM billing_migrations.applied"))


def migrate(warehouse: Warehouse, migrations: list[Migration] | None = None, *, roles: bool = False) -> list[str]:
    """Apply what is missing, each file in a transaction of its own, and return the names applied.

    Two processes may migrate at once: each file is applied under a lock, by one of them. `roles` makes the roles of
    docs/security.md as well, which the embedded server always has; where there are roles everything is billing_owner's.

    Raises:
        MigrationError: an applied file was edited, or the database is ahead of this checkout.
        RolesError: the login may not make the roles, or not what the owner has to do.
    """
    own = migrations is None
    wanted = read_migrations() if migrations is None else migrations
    embedded = warehouse.keep_alive is not None
    if own and not roles and _is_current(warehouse, wanted, with_roles=embedded):
        return []
    if own and (roles or embedded):
        make_roles(warehouse)
    with warehouse.transaction() as connection:
        as_owner(connection)
        lock_migrations(connection)
        connection.execute(text(_HISTORY))
        _count_applied(connection, wanted)
        functions = changed_functions(connection) if own else []
    applied = [m.name for number, m in enumerate(wanted) if _apply(warehouse, wanted, number, functions)]
    if own:
        with warehouse.transaction() as connection:
            has_roles = as_owner(connection)
            lock_migrations(connection)
            replace_functions(connection)
            _replace_views(connection)
            connection.execute(text("SELECT billing.audit_every_table()"))
            if has_roles:
                grant(connection)
        warehouse.engine.dispose()  # the next connections work as billing_pipeline
    return applied


def _is_current(warehouse: Warehouse, wanted: list[Migration], *, with_roles: bool) -> bool:
    """Whether nothing is to do: every command asks, so it is one query, and no lock that a command would wait for."""
    try:
        rows = warehouse.rows(_STATE)
    except ProgrammingError as error:
        if isinstance(error.orig, psycopg.errors.UndefinedTable):
            return False
        raise
    have = {(row["kind"], row["name"]): row["checksum"] for row in rows}
    want = {("migration", migration.name): migration.checksum for migration in wanted}
    want |= {("function", file.name): file.checksum for file in read_functions()}
    want |= {("views", ""): _views_checksum(_read_views())}
    if with_roles:
        want |= {("owner", "billing_owner"): ""}
    return want.items() <= have.items() and sum(kind == "migration" for kind, _ in have) == len(wanted)


def _count_applied(connection: Connection, wanted: list[Migration]) -> int:
    rows = connection.execute(text("SELECT name, checksum FROM billing_migrations.applied ORDER BY name"))
    history = [(str(row.name), str(row.checksum)) for row in rows]
    if _BEFORE_THE_BASELINE in dict(history):
        raise MigrationError(
            "this database was made by the 23 migrations of before, which are one baseline now: migrate an empty"
            " database and copy the data into it, as CHANGELOG.md says"
        )
    for have, want in zip(history, wanted, strict=False):
        if have[0] != want.name:
            raise MigrationError(f"the database has {have[0]} where sql/migrations has {want.name}")
        if have[1] != want.checksum:
            raise MigrationError(f"sql/migrations/{want.name}.sql was edited after it was applied; add another file")
    if len(history) > len(wanted):
        raise MigrationError(f"the database is ahead: it has {history[len(wanted)][0]}, which sql/migrations lacks")
    return len(history)


def _apply(warehouse: Warehouse, wanted: list[Migration], number: int, functions: list[FunctionFile]) -> bool:
    """`functions`: what is still to be made, of which those go that now are."""
    migration = wanted[number]
    with warehouse.transaction() as connection:
        as_owner(connection)
        lock_migrations(connection)
        if _count_applied(connection, wanted) > number:
            return False
        left = make_functions_that_can_be(connection, functions)
        raw(connection).execute(migration.body.encode())
        connection.execute(
            text("INSERT INTO billing_migrations.applied (name, checksum) VALUES (:name, :checksum)"),
            {"name": migration.name, "checksum": migration.checksum},
        )
    functions[:] = left
    return True


def _read_views() -> list[str]:
    """Each after those that it reads."""
    bodies = {path.stem: path.read_text(encoding="utf-8") for path in sql_files("views")}
    made_in = {view: name for name, body in bodies.items() for view in re.findall(r"CREATE VIEW billing\.(\w+)", body)}
    needs = {
        # sorted: the checksum is of them in this order, in every process
        name: sorted(
            {made_in[read] for read in re.findall(r"(?:FROM|JOIN) billing\.(\w+)", body) if read in made_in} - {name}
        )
        for name, body in bodies.items()
    }
    return [bodies[name] for name in TopologicalSorter(needs).static_order()]


def _views_checksum(bodies: list[str]) -> str:
    """Also of the grants: they are given anew after the views, which are new each time."""
    return sha256("\0".join([*bodies, load_sql("postgres/grants.sql")]).encode()).hexdigest()


def _replace_views(connection: Connection) -> None:
    bodies = _read_views()
    checksum = _views_checksum(bodies)
    known = connection.execute(text("SELECT checksum FROM billing_migrations.views")).scalar()
    if known == checksum:
        return
    views = connection.execute(text("SELECT viewname FROM pg_views WHERE schemaname = 'billing'")).scalars().all()
    for view in views:
        connection.execute(text(f'DROP VIEW IF EXISTS billing."{view}" CASCADE'))
    for body in bodies:
        raw(connection).execute(body.encode())
    connection.execute(text("DELETE FROM billing_migrations.views"))
    connection.execute(text("INSERT INTO billing_migrations.views VALUES (:checksum)"), {"checksum": checksum})


_STATE = """
SELECT 'migration' AS kind, name, checksum FROM billing_migrations.applied
UNION ALL
SELECT 'function', name, checksum FROM billing_migrations.functions
UNION ALL
SELECT 'views', '', checksum FROM billing_migrations.views
UNION ALL
SELECT 'owner', pg_get_userbyid(nspowner), '' FROM pg_namespace WHERE nspname = 'billing'
"""

_HISTORY = """
CREATE SCHEMA IF NOT EXISTS billing_migrations;
COMMENT ON SCHEMA billing_migrations IS 'Which files of sql/ this database has';
CREATE TABLE IF NOT EXISTS billing_migrations.applied (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing_migrations.applied IS 'One row an applied file of sql/migrations';
COMMENT ON COLUMN billing_migrations.applied.name IS 'File name without .sql';
COMMENT ON COLUMN billing_migrations.applied.checksum IS 'SHA-256 of the file''s text';
COMMENT ON COLUMN billing_migrations.applied.applied_at IS 'When it was applied';
CREATE TABLE IF NOT EXISTS billing_migrations.functions (name text PRIMARY KEY, checksum text NOT NULL);
COMMENT ON TABLE billing_migrations.functions IS 'One row a file of sql/functions, as the database has it';
COMMENT ON COLUMN billing_migrations.functions.name IS 'File name';
COMMENT ON COLUMN billing_migrations.functions.checksum IS 'SHA-256 of the file''s text';
CREATE TABLE IF NOT EXISTS billing_migrations.views (checksum text NOT NULL);
COMMENT ON TABLE billing_migrations.views IS 'One row: the state of sql/views that the database has';
COMMENT ON COLUMN billing_migrations.views.checksum IS 'SHA-256 of all its files';
"""
