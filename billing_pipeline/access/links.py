"""Links into the console and the portal, which work once, and the sessions that they open."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Literal

from sqlalchemy import Connection, text

from billing_pipeline.access.rules.permissions import RIGHTS, Role, Scope
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.postgres.warehouse import Warehouse

Door = Literal["console", "portal"]
CONSOLE_ROLES = ("admin", "operator", "analyst")
LINK_LASTS = timedelta(hours=1)
SESSION_LASTS = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in where. `customer_id`: the only customer that a portal session sees; None in the console."""

    door: Door
    owner: str
    role: str
    customer_id: str | None

    @property
    def may_change(self) -> bool:
        """Whether the console lets it change anything."""
        return self.may(Scope.CHANGE_INVOICES)

    @property
    def sees_personal(self) -> bool:
        """Whether it sees who somebody is: names and e-mail addresses."""
        return self.may(Scope.PERSONAL)

    def may(self, scope: Scope) -> bool:
        """Whether its role has this by default; a session has nothing beside."""
        return scope in RIGHTS[Role(self.role)].default


def console_link(
    warehouse: Warehouse, signature: Signature, owner: str, role: str, lasts: timedelta = LINK_LASTS
) -> str:
    """The secret of a new link into the console.

    Raises:
        UserError: the role is none of the console's, or the owner is blank.
    """
    if role not in CONSOLE_ROLES:
        raise UserError(f'role "{role}": expected one of {", ".join(CONSOLE_ROLES)}')
    if not owner.strip():
        raise UserError("owner: expected a name, found none")
    with warehouse.transaction() as connection:
        return make_link(connection, signature, "console", owner, role, None, lasts)


def portal_link(warehouse: Warehouse, signature: Signature, customer_id: str, lasts: timedelta = LINK_LASTS) -> str:
    """The secret of a new link into the portal of one customer.

    Raises:
        UserError: there is no such customer.
    """
    customer = read_customer(warehouse, customer_id)
    with warehouse.transaction() as connection:
        return make_link(connection, signature, "portal", str(customer["name"]), "customer", customer_id, lasts)


def owner_of_link(warehouse: Warehouse, door: Door, link: str) -> str | None:
    """Whom the link would let in; None if it is not one that works now. Looking does not use it up."""
    owner: str | None = warehouse.scalar(
        "SELECT owner FROM billing.access_links"
        " WHERE link_digest = :link AND door = :door AND used_at IS NULL AND expires_at > clock_timestamp()",
        link=_digest(link),
        door=door,
    )
    return owner


def sign_in(warehouse: Warehouse, door: Door, link: str) -> str | None:
    """Use the link up and give the secret of the session that it opens; None if it is not one that works now."""
    session = secrets.token_urlsafe(32)
    with warehouse.transaction() as connection:
        opened = connection.execute(
            text(_SIGN_IN), {"link": _digest(link), "door": door, "session": _digest(session), "lasts": SESSION_LASTS}
        ).rowcount
    return session if opened else None


def open_session(warehouse: Warehouse, owner: str, role: str) -> str:
    """The secret of a session in the console for somebody whom the identity provider vouches for; logged."""
    session = secrets.token_urlsafe(32)
    values = {"session": _digest(session), "owner": owner, "role": role, "lasts": SESSION_LASTS}
    with warehouse.transaction() as connection:
        connection.execute(text(_OPEN), values)
    return session


def session_of(warehouse: Warehouse, door: Door, secret: str) -> Session | None:
    """The session with this secret, unless it has ended."""
    rows = warehouse.rows(
        "SELECT door, owner, role, customer_id FROM billing.access_sessions WHERE session_digest = :digest"
        " AND door = :door AND ended_at IS NULL AND expires_at > clock_timestamp()",
        digest=_digest(secret),
        door=door,
    )
    return Session(**rows[0]) if rows else None


def sign_out(warehouse: Warehouse, secret: str) -> None:
    """End the session."""
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "UPDATE billing.access_sessions SET ended_at = clock_timestamp()"
                " WHERE session_digest = :digest AND ended_at IS NULL"
            ),
            {"digest": _digest(secret)},
        )


def make_link(
    connection: Connection,
    signature: Signature,
    door: Door,
    owner: str,
    role: str,
    customer_id: str | None,
    lasts: timedelta,
) -> str:
    """The secret of a new link, in the transaction of who makes it."""
    link = secrets.token_urlsafe(32)
    connection.execute(
        text(_MAKE),
        {
            "digest": _digest(link),
            "door": door,
            "owner": owner,
            "role": role,
            "customer_id": customer_id,
            "lasts": lasts,
            "author": signature.author,
            "reason": signature.reason,
        },
    )
    return link


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


_MAKE = """
WITH made AS (
    INSERT INTO billing.access_links (link_digest, door, owner, role, customer_id, made_by, expires_at)
    VALUES (:digest, :door, :owner, :role, :customer_id, :author, clock_timestamp() + CAST(:lasts AS interval))
    RETURNING *
)
SELECT billing.log_action(
    :author, 'make_link', door, coalesce(customer_id, owner), :reason, NULL, jsonb_build_object('role', role)
) FROM made
"""
_SIGN_IN = """
WITH used AS (
    UPDATE billing.access_links SET used_at = clock_timestamp()
    WHERE link_digest = :link AND door = :door AND used_at IS NULL AND expires_at > clock_timestamp()
    RETURNING *
)
INSERT INTO billing.access_sessions (session_digest, door, owner, role, customer_id, expires_at)
SELECT :session, door, owner, role, customer_id, clock_timestamp() + CAST(:lasts AS interval) FROM used
"""
_OPEN = """
WITH opened AS (
    INSERT INTO billing.access_sessions (session_digest, door, owner, role, expires_at)
    VALUES (:session, 'console', :owner, :role, clock_timestamp() + CAST(:lasts AS interval))
    RETURNING *
)
SELECT billing.log_action(
    owner, 'sign_in', door, owner, 'by the identity provider', NULL, jsonb_build_object('role', role)
) FROM opened
"""
