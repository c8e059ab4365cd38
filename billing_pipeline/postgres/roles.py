"""The roles of the database, which docs/security.md describes: an owner, and those who work under it.

The embedded server has them, and one's own where `billing migrate --roles` made them. A login that may do more, such
as a superuser or an administrator, works as billing_pipeline all the same: session.py sees to it.
"""

import psycopg
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import ProgrammingError

from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.locks import lock_migrations
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


class RolesError(UserError):
    """The login may not make the roles, or may not change what they own; the text says what to do."""


def make_roles(warehouse: Warehouse) -> None:
    """Make the roles that are missing, and give billing_owner what there is already.

    Raises:
        RolesError: the login may not create roles, or does not own the database.
    """
    try:
        with warehouse.transaction() as connection:
            as_login(connection)
            lock_migrations(connection)
            raw(connection).execute(load_sql("postgres/roles.sql").encode())
    except (ProgrammingError, psycopg.errors.InsufficientPrivilege) as error:
        raise RolesError(
            f"the roles cannot be made: {database_reason(error)}: expected a login that owns the database and may"
            " create roles (docs/deployment.md)"
        ) from None


def as_owner(connection: Connection) -> bool:
    """Go on as billing_owner until the end of the transaction; False where the roles are not used.

    Raises:
        RolesError: the login is none of its members.
    """
    as_login(connection)
    found = connection.execute(text(_OWNER)).one()
    if not found.is_used:
        return False
    if not found.may_become:
        raise RolesError(
            "the database is not of this version, and its owner has to change that: run `billing migrate` with the URL"
            " of a login that is a member of billing_owner"
        )
    connection.execute(text("SET LOCAL ROLE billing_owner"))
    return True


def as_login(connection: Connection) -> None:
    """Go on with all that the login may do, until the end of the transaction."""
    connection.execute(text("SET LOCAL ROLE NONE"))


def url_of_login(warehouse: Warehouse, role: str) -> URL:
    """The database as a member of this role alone reaches it; elsewhere than on the embedded server as everybody does.

    There the login is made if it is missing: its socket is its owner's, so that it needs no password.
    """
    if warehouse.keep_alive is None:
        return warehouse.engine.url
    name = f"{role}_login"
    with warehouse.transaction() as connection:
        as_login(connection)
        lock_migrations(connection)
        if not connection.execute(text("SELECT FROM pg_roles WHERE rolname = :name"), {"name": name}).all():
            connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE {role}"))
    return warehouse.engine.url.set(username=name)


def grant(connection: Connection) -> None:
    """Give each role what it may do, and nothing else; as the owner of everything."""
    raw(connection).execute(load_sql("postgres/grants.sql").encode())


_OWNER = """
SELECT
    coalesce(bool_or(
        has_database_privilege(oid, current_database(), 'CREATE')
        OR oid = (SELECT nspowner FROM pg_namespace WHERE nspname = 'billing')
    ), FALSE) AS is_used,
    coalesce(bool_or(pg_has_role(session_user, oid, 'MEMBER')), FALSE) AS may_become
FROM pg_roles WHERE rolname = 'billing_owner'
"""
