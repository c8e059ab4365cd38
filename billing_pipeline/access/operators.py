"""Who may ask for a link into the console by mail."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.access.links import CONSOLE_ROLES
from billing_pipeline.core.email_addresses import is_email
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature, required_author
from billing_pipeline.core.texts import shown
from billing_pipeline.postgres.errors import violated
from billing_pipeline.postgres.warehouse import Warehouse


def add_operator(warehouse: Warehouse, email: str, owner: str, role: str, signature: Signature) -> None:
    """Let this address ask for links of a role. `owner`: the author of all that is changed in the sessions.

    Raises:
        UserError: it is no mail address, may ask already, or the role is none of the console's.
    """
    if not is_email(email):
        raise UserError(f'"{shown(email)}": expected a mail address in ASCII such as ann@example.com')
    if role not in CONSOLE_ROLES:
        raise UserError(f'role "{shown(role)}": expected one of {", ".join(CONSOLE_ROLES)}')
    values = {"email": email, "owner": required_author(owner), "role": role}
    try:
        with warehouse.transaction() as connection:
            connection.execute(text(_ADD), {**values, "author": signature.author, "reason": signature.reason})
    except IntegrityError as error:
        if violated(error) == "operators_one_active":
            raise UserError(f"{email}: may ask for links already") from None
        raise


def remove_operator(warehouse: Warehouse, email: str, signature: Signature) -> None:
    """Let it ask no more: sessions that its owner has end, and links that were not used work no more.

    Raises:
        UserError: it may not ask.
    """
    values = {"email": email, "author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        removed = connection.execute(text(_REMOVE), values).first()
        if removed is None:
            raise UserError(f'"{shown(email)}": expected an address of `billing operators list`, found none')
        for statement in (_USE_UP, _SIGN_OUT):
            connection.execute(text(statement), {"owner": removed.owner})


def list_operators(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Who may ask now: email, owner, role, author, reason, added_at."""
    return warehouse.rows(
        "SELECT email, owner, role, author, reason, added_at FROM billing.operators"
        " WHERE released_at IS NULL ORDER BY lower(email)"
    )


_ADD = """
WITH done AS (
    INSERT INTO billing.operators (email, owner, role, author, reason)
    VALUES (:email, :owner, :role, :author, :reason)
    RETURNING *
)
SELECT billing.log_action(
    author, 'operator.add', 'operator', owner, reason, NULL, jsonb_build_object('role', role)
) FROM done
"""
_REMOVE = """
WITH done AS (
    UPDATE billing.operators
    SET released_at = clock_timestamp(), released_by = :author, release_reason = :reason
    WHERE lower(email) = lower(:email) AND released_at IS NULL
    RETURNING *
)
SELECT owner, billing.log_action(released_by, 'operator.remove', 'operator', owner, release_reason) FROM done
"""
# one after the other: each sees what was made or used while the one before it waited
_USE_UP = """
UPDATE billing.access_links SET used_at = clock_timestamp()
WHERE door = 'console' AND owner = :owner AND used_at IS NULL
"""
_SIGN_OUT = """
UPDATE billing.access_sessions SET ended_at = clock_timestamp()
WHERE door = 'console' AND owner = :owner AND ended_at IS NULL
"""
