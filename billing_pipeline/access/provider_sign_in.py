"""Signing in to the console at a company's own identity provider: an authorization code with PKCE.

Sources: OpenID Connect Core 1.0, 3.1 (what the code is exchanged for, and what of it is believed), RFC 7636 (PKCE).
"""

import hmac
import http.client
import logging
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import urlencode

from billing_pipeline.access.identity_provider import IdentityProvider, ProviderAway
from billing_pipeline.access.links import CONSOLE_ROLES
from billing_pipeline.access.provider_http import post_form
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.settings.api import OidcSettings

_log = logging.getLogger("billing.api")


class ProviderSignIn:
    """Where a browser is sent, and who it is when it comes back.

    `secret` is a random text that the browser keeps from one to the other. What is told to the provider is made of it,
    so nothing is stored here, and no other browser can come back with what this one began.
    """

    def __init__(self, provider: IdentityProvider, settings: OidcSettings, client_id: str, comes_back_to: str) -> None:
        self._provider = provider
        self._client_id = client_id
        self._client_secret = settings.client_secret
        self._comes_back_to = comes_back_to

    def address(self, secret: str) -> str:
        """Where the browser is sent.

        Raises:
            ProviderAway: the provider does not say where.
        """
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._comes_back_to,
            "scope": "openid profile email",
            "state": _made_of(secret, "state"),
            "nonce": _made_of(secret, "nonce"),
            "code_challenge": urlsafe_b64encode(sha256(_made_of(secret, "verifier").encode()).digest())
            .decode()
            .rstrip("="),
            "code_challenge_method": "S256",
        }
        address = self._provider.address("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    def came_back(self, secret: str, state: str, code: str) -> Caller | None:
        """Who it is; None: the browser did not begin this, or the provider vouches for nobody of the console.

        Raises:
            ProviderAway: the provider does not answer.
        """
        if not code or not hmac.compare_digest(state.encode(), _made_of(secret, "state").encode()):
            return None
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._comes_back_to,
            "client_id": self._client_id,
            "code_verifier": _made_of(secret, "verifier"),
        }
        client = (self._client_id, self._client_secret) if self._client_secret else None
        try:
            token = post_form(self._provider.address("token_endpoint"), form, client)["id_token"]
        except (OSError, http.client.HTTPException) as error:
            _log.error("the identity provider does not exchange a code: %s", error)
            raise ProviderAway("the identity provider does not answer") from None
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("the identity provider takes a code for none: %s", error)
            return None
        claims = self._provider.claims(str(token), self._client_id)
        if claims is None or claims.get("nonce") != _made_of(secret, "nonce"):
            return None
        caller = self._provider.caller_by(claims)
        return caller if caller is not None and caller.role in CONSOLE_ROLES else None


def _made_of(secret: str, what: str) -> str:
    return hmac.new(secret.encode(), what.encode(), sha256).hexdigest()
