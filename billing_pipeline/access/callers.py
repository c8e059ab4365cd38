"""Who sends a token: looked up at every request, so that a token that was revoked lets nobody in from then on."""

from datetime import UTC, datetime

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
    caller = Caller(
        token.token_id,
        row["owner"],
        Role(row["role"]),
        frozenset(Scope(name) for name in row["scopes"]),
        row["customer_id"],
    )
    stored = StoredToken(caller, row["digest"], row["expires_at"], row["revoked_at"])
    if not admits(stored, token, datetime.now(UTC)):
        return None
    if row["use_is_old"]:
        note_use(warehouse, token.token_id)
    return caller


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
