"""Keeps sql/functions current: one file a subject, applied again whenever its text changes, like the views.

A function may be needed before a table (its trigger) and may need a table (its body). So before each migration every
function that can be made already, and was not before an earlier one, is made with its body unchecked; after the last
migration all of them are checked.
"""

from dataclasses import dataclass
from hashlib import sha256

import psycopg
from sqlalchemy import Connection, text

from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.sql_files import sql_files

_NOT_YET = (
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.UndefinedTable,
)
"""What Postgres says of a function whose types, tables or other functions are still to come."""


class FunctionError(UserError):
    """A file of sql/functions cannot be applied; the text names it and says what Postgres said."""


@dataclass(frozen=True)
class FunctionFile:
    """One file: its name below sql/functions, and CREATE OR REPLACE FUNCTION statements."""

    name: str
    body: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return sha256(self.body.encode()).hexdigest()


def read_functions() -> list[FunctionFile]:
    """The files of sql/functions."""
    return [FunctionFile(path.name, path.read_text(encoding="utf-8")) for path in sql_files("functions")]


def make_functions_that_can_be(connection: Connection, files: list[FunctionFile]) -> list[FunctionFile]:
    """Make those that can be made before the next migration, whose triggers may call them; returns what is left.

    Raises:
        FunctionError: a file is wrong, whatever is still to come.
    """
    return list(_apply(connection, files, bodies_checked=False))


def replace_functions(connection: Connection) -> list[str]:
    """Apply the files whose text changed, in whatever order they need, and return their names.

    Raises:
        FunctionError: a file cannot be applied.
    """
    changed = changed_functions(connection)
    _apply(connection, changed, bodies_checked=False)
    for file, error in _apply(connection, changed, bodies_checked=True).items():
        raise FunctionError(f"sql/functions/{file.name}: {database_reason(error)}") from None
    for file in changed:
        connection.execute(
            text(
                "INSERT INTO billing_migrations.functions (name, checksum) VALUES (:name, :checksum)"
                " ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum"
            ),
            {"name": file.name, "checksum": file.checksum},
        )
    return [file.name for file in changed]


def changed_functions(connection: Connection) -> list[FunctionFile]:
    """The files that the database does not have as they are now."""
    rows = connection.execute(text("SELECT name, checksum FROM billing_migrations.functions"))
    known = {str(row.name): str(row.checksum) for row in rows}
    return [file for file in read_functions() if known.get(file.name) != file.checksum]


def _apply(
    connection: Connection, files: list[FunctionFile], *, bodies_checked: bool
) -> dict[FunctionFile, psycopg.Error]:
    """Apply the files, again and again while one of them makes way for another; what is left, with its error."""
    connection.execute(text(f"SET LOCAL check_function_bodies = {'on' if bodies_checked else 'off'}"))
    left = {file: error for file in files if (error := _refusal(connection, file))}
    while left:
        still = {file: error for file in left if (error := _refusal(connection, file))}
        if len(still) == len(left):
            break
        left = still
    connection.execute(text("SET LOCAL check_function_bodies = on"))
    return left


def _refusal(connection: Connection, file: FunctionFile) -> psycopg.Error | None:
    try:
        with raw(connection).transaction():
            raw(connection).execute(file.body.encode())
    except _NOT_YET as error:
        return error
    except psycopg.Error as error:
        raise FunctionError(f"sql/functions/{file.name}: {database_reason(error)}") from None
    return None
