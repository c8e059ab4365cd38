"""What every connection is set to before it is used, whatever the server, the role or a pooler says; and the check.

A pooler drops `options` of the URL, and a role may have a time zone of its own. So what the code relies on is set when
a connection is opened, in one round trip, which also tells whether this server will do at all. A time limit stays
with the user, who may name it in the `options` of the URL.
"""

import re
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from billing_pipeline.settings import SettingsError

RELIED_ON = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "search_path": "public, pg_temp",
    "default_transaction_isolation": "read committed",
}
"""Setting -> value, the same on every connection. Statements name the schema of what they use."""
TIME_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout",
               "transaction_timeout")  # fmt: skip
"""Off unless the URL's `options` name them: a server's default for short queries would cut off a month's build."""
VERSION_MIN = 150_000
PROBES = 16


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a connection learns of its server when it is prepared."""

    connections_allowed: int
    """How many this role may have in this database, if nobody else has any."""


def prepare(connection: psycopg.Connection[Any], statement_timeout_s: int = 0) -> ServerFacts:
    """Set and check what the code relies on. No transaction may be open. A limit of 0 is none.

    Raises:
        SettingsError: the server is too old, a read-only copy, in another encoding, or behind a pooler that lends its
            connections by the transaction.
    """
    before, connection.autocommit = connection.autocommit, True
    try:
        statement = _statement(_limits_of_the_user(connection.info.options), statement_timeout_s)
        found: Any = connection.cursor(row_factory=namedtuple_row).execute(statement).fetchone()
    finally:
        connection.autocommit = before
    _require_server(found)
    for name in ("TimeZone", "DateStyle", "standard_conforming_strings"):
        if connection.info.parameter_status(name) != RELIED_ON[name]:
            raise SettingsError(
                f"the database does not keep the setting {name} = {RELIED_ON[name]}: is a pooler between?"
            )
    if found.pid != connection.info.backend_pid and _lent_by_transaction(connection, found.pid):
        raise SettingsError(
            "the pooler before the database lends its connections by the transaction, which loses locks: expected"
            " pool_mode = session (docs/deployment.md)"
        )
    return ServerFacts(found.allowed)


def _statement(limits_kept: set[str], statement_timeout_s: int) -> str:
    if statement_timeout_s:
        limits_kept = limits_kept | {"statement_timeout"}
    values = [f"set_config('{name}', '{value}', FALSE)" for name, value in RELIED_ON.items()]
    # a limit that this version does not know is not set
    values += [
        f"CASE WHEN current_setting('{name}', TRUE) <> '0' THEN set_config('{name}', '0', FALSE) END"
        for name in TIME_LIMITS
        if name not in limits_kept
    ]
    if statement_timeout_s:
        values.append(f"set_config('statement_timeout', '{statement_timeout_s}s', FALSE)")
    # an intent to charge that was committed must survive a crash
    values += [
        "CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', FALSE) END"
    ]
    values.append(_ROLE)
    unnamed = ", ".join(f"{value} AS set_{number}" for number, value in enumerate(values))
    return f"SELECT {unnamed}, {_FACTS}"


_ROLE = """
    CASE WHEN EXISTS (
        SELECT FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
        WHERE n.nspname = 'billing' AND r.rolname = 'billing_owner' AND pg_has_role(session_user, r.oid, 'MEMBER')
    ) THEN set_config('role', 'billing_pipeline', FALSE) END"""
"""Who may do more, such as a superuser, works as the pipeline. postgres/roles.py goes back where that is needed."""
_FACTS = """
    pg_backend_pid() AS pid,
    CAST(current_setting('server_version_num') AS integer) AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('transaction_read_only') = 'on' AS read_only,
    current_setting('session_replication_role') AS replication_role,
    least(
        CAST(current_setting('max_connections') AS integer)
        - CAST(current_setting('superuser_reserved_connections') AS integer)
        - coalesce(CAST(current_setting('reserved_connections', TRUE) AS integer), 0),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = session_user),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
    ) AS allowed
"""


def _require_server(found: Any) -> None:
    if found.version < VERSION_MIN:
        raise SettingsError(f"PostgreSQL {found.version // 10000} is too old: 15 or later is needed")
    if found.encoding != "UTF8":
        raise SettingsError(f"the billing database has the encoding {found.encoding}: expected UTF8")
    if found.read_only:
        raise SettingsError("the billing database is read-only (a replica?): expected the server that takes writes")
    if found.replication_role != "origin":
        raise SettingsError("session_replication_role switches the rules of the database off: expected origin")


def _limits_of_the_user(options: str) -> set[str]:
    """The time limits that `options` of the URL, or PGOPTIONS, name."""
    named = re.findall(r"(?:-c\s*|--)([A-Za-z_-]+)\s*=", options)
    return {name.replace("-", "_").lower() for name in named} & set(TIME_LIMITS)


def _lent_by_transaction(connection: psycopg.Connection[Any], pid: int) -> bool:
    """Whether the server process changes under the connection while a second one takes and returns what is free."""
    pid_now = "SELECT pg_backend_pid()"
    try:
        with psycopg.connect(connection.info.dsn, password=connection.info.password) as other:
            for _ in range(PROBES):  # others may use the pooler meanwhile, so that one look could miss it
                others = other.execute(pid_now, prepare=False).fetchone()  # and its transaction stays open
                own = connection.execute(pid_now, prepare=False).fetchone()
                connection.rollback()
                other.rollback()
                if others == (pid,) or own != (pid,):
                    return True
    except psycopg.errors.ProtocolViolation:
        return True  # by the statement, even
    return False
