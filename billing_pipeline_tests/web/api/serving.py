"""The API on a real port, and callers with tokens."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import uvicorn

from billing_pipeline.access.rules.permissions import Role
from billing_pipeline.access.tokens import create_token
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import ROOT, Settings, load_settings
from billing_pipeline.stripe_gateway.opening import open_stripe
from billing_pipeline.web.api.app import create_app
from billing_pipeline.web.pages.app import OpenStripe
from billing_pipeline.web.receiver.server import configured
from billing_pipeline_tests.plain_http import WITHOUT_TLS

PREFIX = "/api/billing"
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
"""What the API says of itself, as the repository has it: test_openapi.py sees that it is current."""


@dataclass(frozen=True)
class Client:
    """Somebody with a token, or without one."""

    base_url: str
    token: str | None

    def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        """The answer to a request below /api/billing, or at another path that begins with //."""
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        where = path.removeprefix("/") if path.startswith("//") else PREFIX + path
        said = {**own, **(headers or {})}
        return httpx.request(method, self.base_url + where, headers=said, timeout=60, verify=WITHOUT_TLS, **options)

    def get(self, path: str, *, status: int = 200, **options: Any) -> Any:
        """What a read answers."""
        return self._document(self.send("GET", path, **options), status)

    def post(self, path: str, body: Any = None, *, method: str = "POST", status: int = 200, **options: Any) -> Any:
        """What a write answers."""
        return self._document(self.send(method, path, json=body, **options), status)

    def _document(self, answer: httpx.Response, status: int) -> Any:
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()


@dataclass(frozen=True)
class Serving:
    """An API that answers."""

    base_url: str
    warehouse: Warehouse

    def as_(self, role: Role | str, customer_id: str | None = None, scopes: Sequence[str] = ()) -> Client:
        """Somebody with a new token of this role, whose owner has the role's name."""
        token = create_token(
            self.warehouse,
            Role(role),
            f"{role}-owner",
            Signature("test", "a test"),
            customer_id=customer_id,
            scopes=scopes,
        )
        return Client(self.base_url, token.text)

    @property
    def stranger(self) -> Client:
        """Somebody without a token."""
        return Client(self.base_url, None)


def told(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem, whose shape is the same whatever went wrong."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert set(document) == {"type", "title", "status", "detail", "request_id", "errors"}
    assert (document["type"], document["status"]) == (f"urn:billing:problem:{kind}", status)
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


@contextmanager
def serving(
    warehouse: Warehouse,
    requests_per_minute: int = 60_000,
    settings: Settings | None = None,
    stripe: OpenStripe = open_stripe,
) -> Iterator[Serving]:
    """An API for as long as the block takes."""
    settings = settings or load_settings()
    settings = replace(settings, api=replace(settings.api, port=0, requests_per_minute=requests_per_minute))
    server = uvicorn.Server(configured(create_app(settings, warehouse, stripe), host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Serving(f"http://127.0.0.1:{port}", warehouse)
    finally:
        server.should_exit = True
        thread.join()
