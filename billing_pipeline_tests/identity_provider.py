"""A small identity provider that runs here: publishes its keys, signs tokens, lets whoever asks sign in."""

import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from billing_pipeline.access.identity_provider import IdentityProvider
from billing_pipeline.settings.api import OidcSettings


@dataclass
class Provider:
    """Publishes its keys, signs tokens, and counts who asks."""

    issuer: str = ""
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)
    asked: int = 0
    now_s: float = 0.0
    person: dict[str, Any] = field(default_factory=dict)
    """What it says of whoever signs in."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    """What was asked for, by the code that it was answered."""

    def rotate(self, key_id: str) -> None:
        self.keys = {key_id: ec.generate_private_key(ec.SECP256R1())}

    def token(self, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        [(key_id, key)] = self.keys.items()
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": "billing",
            "sub": "u-1",
            "exp": now + 60,
            "billing_role": "operator",
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key, "ES256", headers or {"kid": key_id})

    def settings(self, **over: Any) -> OidcSettings:
        return replace(OidcSettings(self.issuer, "billing", "sub", "billing_role", (), None), **over)

    def reader(self, **over: Any) -> IdentityProvider:
        return IdentityProvider(self.settings(**over), clock=lambda: self.now_s)

    def answer(self, path: str) -> Any:
        """The document at a path."""
        self.asked += 1
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
            }
        algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        public = {key_id: algorithm.to_jwk(key.public_key(), as_dict=True) for key_id, key in self.keys.items()}
        return {"keys": [{**key, "kid": key_id, "use": "sig"} for key_id, key in public.items()]}

    def authorised(self, query: str) -> str:
        """Where a browser is sent that has signed in."""
        asked = dict(parse_qsl(query))
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchanged(self, form: dict[str, str], authorization: str | None) -> dict[str, str] | None:
        """Tokens for a code, once; None: it is none, or not of this client and browser."""
        asked = self.codes.pop(form["code"], None)
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        client = b64decode((authorization or "").removeprefix("Basic ")).decode()
        if asked is None or asked["code_challenge"] != challenge or client != "console:s3cret":
            return None
        if (asked["redirect_uri"], asked["client_id"]) != (form["redirect_uri"], form["client_id"]):
            return None
        claims = {"aud": asked["client_id"], "nonce": asked["nonce"], **self.person}
        return {"id_token": self.token(**claims), "access_token": "x", "token_type": "Bearer"}


@contextmanager
def running_provider() -> Iterator[Provider]:
    """One that answers."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self.send_response(303)
                self.send_header("Location", provider.authorised(parts.query))
                self.end_headers()
                return
            self._send(200, provider.answer(parts.path))

        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            tokens = provider.exchanged(form, self.headers["Authorization"])
            self._send(400 if tokens is None else 200, tokens or {"error": "invalid_grant"})

        def _send(self, status: int, document: Any) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield provider
    server.shutdown()
    server.server_close()
    thread.join()
