"""What the API needs beside the settings that the commands read."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from billing_pipeline.settings.environment import SettingsError, port, positive, text_or_none


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """A company's own identity provider, whose tokens the API takes beside its own, and the claims that it writes."""

    issuer: str
    """BILLING_OIDC_ISSUER, exactly as the provider's tokens name it."""
    audience: str
    """BILLING_OIDC_AUDIENCE: whom its tokens have to be for."""
    owner_claim: str
    """BILLING_OIDC_OWNER_CLAIM: who is the author of what is changed; default sub."""
    role_claim: str
    """BILLING_OIDC_ROLE_CLAIM; default billing_role."""
    roles: tuple[tuple[str, str], ...]
    """BILLING_OIDC_ROLES, such as billing-admins=admin,finance=operator: what values of the role claim mean."""
    customer_claim: str | None
    """BILLING_OIDC_CUSTOMER_CLAIM: the customer of a token of role customer; None: nobody has that role."""
    client_id: str | None = None
    """BILLING_OIDC_CLIENT_ID: what the console is called at the provider; None: nobody signs in to it there."""
    client_secret: str | None = field(default=None, repr=False)
    """BILLING_OIDC_CLIENT_SECRET: what the provider gave the console to prove that; None: it has none (PKCE alone)."""

    @classmethod
    def load(cls) -> Self | None:
        """Read the environment; None: BILLING_OIDC_ISSUER is not set.

        Raises:
            SettingsError: a value cannot work.
        """
        issuer, audience = text_or_none("BILLING_OIDC_ISSUER"), text_or_none("BILLING_OIDC_AUDIENCE")
        if issuer is None:
            return None
        parts = urlsplit(issuer)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
            raise SettingsError(f"BILLING_OIDC_ISSUER={issuer!r}: expected an address that begins with https://")
        if audience is None:
            raise SettingsError("BILLING_OIDC_AUDIENCE: expected whom tokens of BILLING_OIDC_ISSUER are for")
        return cls(
            issuer,
            audience,
            text_or_none("BILLING_OIDC_OWNER_CLAIM") or "sub",
            text_or_none("BILLING_OIDC_ROLE_CLAIM") or "billing_role",
            _roles(text_or_none("BILLING_OIDC_ROLES") or ""),
            text_or_none("BILLING_OIDC_CUSTOMER_CLAIM"),
            text_or_none("BILLING_OIDC_CLIENT_ID"),
            text_or_none("BILLING_OIDC_CLIENT_SECRET"),
        )


def _roles(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    for value, _, role in pairs:
        if not value or role not in ("admin", "operator", "analyst", "platform", "customer"):
            raise SettingsError(
                f"BILLING_OIDC_ROLES={text!r}: expected pairs such as finance=operator, with a role of the API"
            )
    return tuple((value, role) for value, _, role in pairs)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the API listens, and how much it takes."""

    port: int
    """BILLING_API_PORT, where it listens; default 12300."""
    requests_per_minute: int
    """BILLING_API_REQUESTS_PER_MINUTE: how many a token may send on average; default 1200."""
    oidc: OidcSettings | None = None
    """None: the API takes its own tokens alone."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: a value cannot work.
        """
        return cls(
            port("BILLING_API_PORT", 12_300), positive("BILLING_API_REQUESTS_PER_MINUTE", 1200), OidcSettings.load()
        )
