from datetime import UTC, datetime, timedelta

import pytest

from billing_pipeline.access.rules.permissions import Role, Scope
from billing_pipeline.access.rules.tokens import Caller, StoredToken, Token, admits, read_token

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TOKEN = Token("0123456789ab", "s" * 43)
CALLER = Caller("0123456789ab", "ann", Role.ADMIN, frozenset(Scope), None)


def stored(**changes: datetime) -> StoredToken:
    return StoredToken(CALLER, TOKEN.digest, changes.get("expires_at"), changes.get("revoked_at"))


def test_a_token_is_read_as_it_is_written_and_its_secret_is_in_no_repr() -> None:
    assert read_token(TOKEN.text) == TOKEN
    assert "sss" not in repr(TOKEN)


@pytest.mark.parametrize(
    "text",
    [
        *("", "bil_", "bil_0123456789ab", TOKEN.text + "\n", TOKEN.text + "s", TOKEN.text[:-1], TOKEN.text.upper()),
        *(TOKEN.text.replace("bil_", "sk_"), "bil_0123456789ab_" + "ß" * 43, " " + TOKEN.text),
    ],
)
def test_what_is_not_written_so_is_no_token(text: str) -> None:
    assert read_token(text) is None


def test_a_token_is_let_in_until_it_expires_or_is_revoked_and_with_its_own_secret_only() -> None:
    assert admits(stored(), TOKEN, NOW)
    assert admits(stored(expires_at=NOW + timedelta(seconds=1)), TOKEN, NOW)
    assert not admits(stored(expires_at=NOW), TOKEN, NOW)
    assert not admits(stored(revoked_at=NOW), TOKEN, NOW)
    assert not admits(stored(), Token(TOKEN.token_id, "t" * 43), NOW)
