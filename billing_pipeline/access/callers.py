"""Who sends a token: looked up at every request, so that a token that was revoked lets nobody in from then on."""

from datetime import UTC, datetime
from functools import lru_cache

from sqlalchemy import text

from billing_pipeline.access.rules.permissions import Role, Scope
from billing_pipeline.access.rules.tokens import Caller, StoredToken, admits, read_token
from billing_pipeline.postgres.warehouse import Warehouse


def caller_of(warehouse: Warehouse, token_text: str) -> Caller | None:
    """Whose token this is; None: nobody's, or it holds no more. Its last use is noted, to the minute."""
    token = read_token(token_text)
    if token is None:
        return None
    row = warehouse.look_up(
        "SELECT owner, role, scopes, customer_id, digest, expires_at, revoked_at,"
        " last_used_at IS NULL OR last_used_at < now() - INTERVAL '1 minute' AS use_is_old"
        " FROM billing.api_tokens WHERE token_id = %(token_id)s",
        token_id=token.token_id,
    )
    if row is None:
        return None
    owner, role, scopes, customer_id, digest, expires_at, revoked_at, use_is_old = row
    caller = Caller(token.token_id, owner, Role(role), _scopes(*scopes), customer_id)
    if not admits(StoredToken(caller, digest, expires_at, revoked_at), token, datetime.now(UTC)):
        return None
    if use_is_old:
        note_use(warehouse, token.token_id)
    return caller


@lru_cache
def _scopes(*names: str) -> frozenset[Scope]:
    return frozenset(Scope(name) for name in names)


def note_use(warehouse: Warehouse, token_id: str) -> None:
    """Keep that the token was used just now."""
    with warehouse.transaction() as connection:
        # who finds the row locked by another request of the same token need not wait: the time is the same
        connection.execute(
            text(
                "UPDATE billing.api_tokens SET last_used_at = clock_timestamp() WHERE token_id ="
                " (SELECT token_id FROM billing.api_tokens WHERE token_id = :token_id FOR UPDATE SKIP LOCKED)"
            ),
            {"token_id": token_id},
        )
