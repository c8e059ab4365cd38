"""Tokens of a company's own identity provider (OpenID Connect): signed by a key that the provider publishes.

The provider is asked for its keys and for nothing else; no request waits for it while the keys are known. Sources:
OpenID Connect Discovery 1.0 (where the keys are), RFC 7517 (how they are written), RFC 8725 (what is not believed).
"""

import http.client
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import jwt

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
TIMEOUT_S = 5
ANSWER_MAX_BYTES = 1024 * 1024
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
        self._asked_at: float | None = None

    def caller_of(self, token: str) -> Caller | None:
        """Whose token this is; None: it is none of the provider's that holds, or its claims name nobody here.

        Raises:
            ProviderAway: its keys are not known, and it does not answer.
        """
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._key(key_id) if isinstance(key_id, str) else None
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            return None
        return caller_by_claims(claims, self._names)

    def _key(self, key_id: str) -> jwt.PyJWK | None:
        with self._lock:
            holds_s = KEYS_HOLD_S if key_id in self._keys else ASKED_AGAIN_AFTER_S if self._keys else AWAY_S
            if self._asked_at is None or self._clock() - self._asked_at > holds_s:
                self._ask()
            if not self._keys:
                raise ProviderAway("the identity provider does not answer")
            return self._keys.get(key_id)

    def _ask(self) -> None:
        """Read the keys anew; those that are known hold on while the provider is away."""
        try:
            found = _get(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found["issuer"] != self._settings.issuer:
                raise ValueError(f"it calls itself {found['issuer']}")
            keys = jwt.PyJWKSet.from_dict(_get(found["jwks_uri"])).keys
            self._keys = {key.key_id: key for key in keys if key.key_id and key.public_key_use in (None, "sig")}
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            _log.error("the identity provider %s tells no keys: %s", self._settings.issuer, error)
        self._asked_at = self._clock()


def _get(url: str) -> Any:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError(f"{url}: expected https")
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    )
    try:
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        content = answer.read(ANSWER_MAX_BYTES + 1)
    finally:
        connection.close()
    if answer.status != 200 or len(content) > ANSWER_MAX_BYTES:
        raise ValueError(f"{parts.netloc} answered {answer.status} with {len(content)} bytes")
    return json.loads(content)
