"""Tokens of a company's own identity provider (OpenID Connect): signed by a key that the provider publishes.

The provider is asked for its keys and for nothing else; no request waits for it while the keys are known. Sources:
OpenID Connect Discovery 1.0 (where the keys are), RFC 7517 (how they are written), RFC 8725 (what is not believed).
"""

import http.client
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from billing_pipeline.access import provider_http
from billing_pipeline.access.rules.identity_claims import ClaimNames, caller_by_claims
from billing_pipeline.access.rules.permissions import Role
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.core.errors import UserError
from billing_pipeline.settings.api import OidcSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key pair alone: with a shared secret, or none, whoever knows what is public could sign."""
KEYS_HOLD_S = 3600
ASKED_AGAIN_AFTER_S = 60
"""A token that names an unknown key makes the provider be asked, but no stranger can make it be asked without end."""
AWAY_S = 5
"""So long a provider that told no keys is left alone: each request would wait for it, one after the other."""
LEEWAY_S = 30
_log = logging.getLogger("billing.api")


class ProviderAway(UserError):  # noqa: N818 - reads as what happened
    """The provider has not told its keys yet."""


class IdentityProvider:
    """The provider of BILLING_OIDC_ISSUER. Threads may share it."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._names = ClaimNames(
            settings.owner_claim,
            settings.role_claim,
            settings.customer_claim,
            {value: Role(role) for value, role in settings.roles},
        )
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._addresses: dict[str, Any] = {}
        self._asked_at: float | None = None

    def caller_of(self, token: str) -> Caller | None:
        """Whose token this is; None: it is none of the provider's that holds, or its claims name nobody here.

        Raises:
            ProviderAway: its keys are not known, and it does not answer.
        """
        claims = self.claims(token, self._settings.audience)
        return None if claims is None else self.caller_by(claims)

    def caller_by(self, claims: Mapping[str, Any]) -> Caller | None:
        """Whom claims that were believed name; None: nobody here."""
        return caller_by_claims(claims, self._names)

    def claims(self, token: str, audience: str) -> Mapping[str, Any] | None:
        """What a token says; None: it is none of the provider's that holds, or is not for this audience.

        Raises:
            ProviderAway: its keys are not known, and it does not answer.
        """
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._key(key_id) if isinstance(key_id, str) else None
            if key is None:
                return None
            return jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            return None

    def address(self, name: str) -> str:
        """Where the provider has something, by its name in OpenID Connect Discovery.

        Raises:
            ProviderAway: it does not say so.
        """
        with self._lock:
            self._ask_again(KEYS_HOLD_S if self._addresses else AWAY_S)
            found = self._addresses.get(name)
        if not isinstance(found, str):
            raise ProviderAway("the identity provider does not answer")
        return found

    def _key(self, key_id: str) -> jwt.PyJWK | None:
        with self._lock:
            holds_s = KEYS_HOLD_S if key_id in self._keys else ASKED_AGAIN_AFTER_S if self._keys else AWAY_S
            self._ask_again(holds_s)
            if not self._keys:
                raise ProviderAway("the identity provider does not answer")
            return self._keys.get(key_id)

    def _ask_again(self, holds_s: float) -> None:
        """Read the keys anew if they are older; those that are known hold on while the provider is away."""
        if self._asked_at is not None and self._clock() - self._asked_at <= holds_s:
            return
        try:
            found = provider_http.get(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found["issuer"] != self._settings.issuer:
                raise ValueError(f"it calls itself {found['issuer']}")
            keys = jwt.PyJWKSet.from_dict(provider_http.get(found["jwks_uri"])).keys
            self._addresses = dict(found)
            self._keys = {key.key_id: key for key in keys if key.key_id and key.public_key_use in (None, "sig")}
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            _log.error("the identity provider %s tells no keys: %s", self._settings.issuer, error)
        self._asked_at = self._clock()
