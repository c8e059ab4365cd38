"""How a token is written, `bil_<id>_<secret>`, and what is kept of it: the digest, from which nobody makes it again."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest

from billing_pipeline.access.rules.permissions import Role, Scope

_TOKEN = re.compile(r"bil_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its holder sends it. The secret has 256 bits of chance, so a plain digest is enough."""

    token_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """As it is handed out, once."""
        return f"bil_{self.token_id}_{self.secret}"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the secret."""
        return sha256(self.secret.encode()).digest()


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it is, and what it may do. `owner` is the author of what the token changes."""

    token_id: str
    owner: str
    role: Role
    scopes: frozenset[Scope]
    customer_id: str | None
    """Set: the token sees this customer's rows alone."""

    def may(self, scope: Scope) -> bool:
        """Whether the token has the scope."""
        return scope in self.scopes


@dataclass(frozen=True, slots=True)
class StoredToken:
    """What is kept of a token."""

    caller: Caller
    digest: bytes = field(repr=False)
    expires_at: datetime | None
    revoked_at: datetime | None


def read_token(text: str) -> Token | None:
    """The token; None: the text is none."""
    match = _TOKEN.fullmatch(text)
    return Token(match[1], match[2]) if match else None


def admits(stored: StoredToken, token: Token, now: datetime) -> bool:
    """Whether the token is the stored one and holds at this moment."""
    known = compare_digest(stored.digest, token.digest)
    expired = stored.expires_at is not None and stored.expires_at <= now
    return known and not expired and stored.revoked_at is None
