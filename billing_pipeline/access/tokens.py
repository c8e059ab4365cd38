"""Makes, lists, rotates and revokes tokens of the API. A token is shown once, to who makes it; its digest is kept."""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.access.rules.permissions import Role, granted
from billing_pipeline.access.rules.tokens import Token
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature, required_author
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

DAYS_MAX = 3650
GRACE_HOURS_MAX = 168


def create_token(
    warehouse: Warehouse,
    role: Role,
    owner: str,
    signature: Signature,
    *,
    customer_id: str | None = None,
    scopes: Collection[str] = (),
    expires_days: int | None = None,
) -> Token:
    """Make a token; its text is told nowhere else.

    `owner` is the author of all that the token changes; a token of role customer, and no other, has a `customer_id`.
    `scopes` are fewer than the role has, or one that may be granted to it; none: the role's own. Without
    `expires_days` it holds until it is revoked.

    Raises:
        UserError: the role needs a customer, or has none; the customer or a scope is unknown.
    """
    owner = required_author(owner)
    if (role is Role.CUSTOMER) != (customer_id is not None):
        expected = "expected the customer that it is for" if role is Role.CUSTOMER else "expected no customer"
        raise UserError(f"a token of role {role}: {expected}")
    if customer_id is not None:
        read_customer(warehouse, customer_id)
    if expires_days is not None and not 0 < expires_days <= DAYS_MAX:
        raise UserError(f"expires: expected 1 to {DAYS_MAX} days")
    token = _new_token()
    with warehouse.transaction() as connection:
        _insert(
            connection,
            token,
            {
                "owner": owner,
                "role": role,
                "scopes": sorted(granted(role, scopes)),
                "customer_id": customer_id,
                "expires_in": None if expires_days is None else timedelta(days=expires_days),
                "expires_at": None,
                "replaces": None,
            },
            signature,
        )
    return token


def rotate_token(warehouse: Warehouse, token_id: str, signature: Signature, *, grace_hours: int = 0) -> Token:
    """A new token of the same rights; the old one holds for so many hours more, so that its holders can change over.

    Raises:
        UserError: there is no such token, or it holds no more.
    """
    if not 0 <= grace_hours <= GRACE_HOURS_MAX:
        raise UserError(f"grace: expected 0 to {GRACE_HOURS_MAX} hours")
    token = _new_token()
    with warehouse.transaction() as connection:
        old = _locked(connection, token_id)
        if not old["holds"]:
            raise UserError(f'token "{token_id}" holds no more: make another one')
        _insert(
            connection,
            token,
            {
                **{name: old[name] for name in ("owner", "role", "scopes", "customer_id", "expires_at")},
                "expires_in": None,
                "replaces": token_id,
            },
            signature,
        )
        if grace_hours:
            connection.execute(
                text(load_sql("access/expire_token.sql")),
                {"token_id": token_id, "hours": timedelta(hours=grace_hours)},
            )
        else:
            _revoke(connection, token_id, signature)
    return token


def revoke_token(warehouse: Warehouse, token_id: str, signature: Signature) -> bool:
    """Let a token in no more, from now on; False: it was revoked already.

    Raises:
        UserError: there is no such token.
    """
    with warehouse.transaction() as connection:
        if _locked(connection, token_id)["revoked_at"] is not None:
            return False
        _revoke(connection, token_id, signature)
    return True


def list_tokens(
    warehouse: Warehouse, *, after: tuple[datetime, str] | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Tokens without their secrets, the newest first. `after`: those that follow this one, by created_at and id."""
    created_at, token_id = after or (None, None)
    return warehouse.rows(
        load_sql("access/list_tokens.sql"), after_created_at=created_at, after_token_id=token_id, row_limit=limit
    )


def _new_token() -> Token:
    return Token(secrets.token_hex(6), secrets.token_urlsafe(32))


def _insert(connection: Connection, token: Token, row: dict[str, Any], signature: Signature) -> None:
    connection.execute(
        text(load_sql("access/insert_token.sql")),
        {
            "token_id": token.token_id,
            "digest": token.digest,
            **row,
            "author": signature.author,
            "reason": signature.reason,
        },
    )


def _locked(connection: Connection, token_id: str) -> dict[str, Any]:
    found = connection.execute(text(load_sql("access/lock_token.sql")), {"token_id": token_id}).mappings().first()
    if found is None:
        raise NotFound(f'token "{token_id}": expected the id of a token, found none')
    return dict(found)


def _revoke(connection: Connection, token_id: str, signature: Signature) -> None:
    connection.execute(
        text(load_sql("access/revoke_token.sql")),
        {"token_id": token_id, "author": signature.author, "reason": signature.reason},
    )
