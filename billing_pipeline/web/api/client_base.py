"""A client of the billing API, written by `billing api --client` from its OpenAPI document. It needs Python alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

__all__ = ["ApiProblem", "Billing", "quote"]


class ApiProblem(Exception):  # noqa: N818 - as the API calls it
    """The API refused; `document` is the problem as it said it."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(f"{status}: {document.get('detail', 'no problem document')}")
        self.status = status
        self.document = document


class Billing:
    """The API at `base_url`, such as http://127.0.0.1:12300, for the holder of a token. Each route is a method."""

    def __init__(self, base_url: str, token: str, *, timeout_s: float = 30) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s

    def _call(
        self, method: str, path: str, query: dict[str, Any], body: dict[str, Any] | None, idempotency_key: str | None
    ) -> Any:
        """What the route answers; what is None is left out of the request."""
        given = {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in query.items()
            if value is not None
        }
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        address = f"{self._base_url}{path}" + (f"?{urlencode(given)}" if given else "")
        request = urllib.request.Request(address, content, headers, method=method)  # noqa: S310 - the caller's address
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310
                said = answer.read()
                is_json = answer.headers.get_content_type() == "application/json"
        except urllib.error.HTTPError as error:
            with error:
                said = error.read()
                is_problem = error.headers.get_content_type() == "application/problem+json"
            raise ApiProblem(error.code, json.loads(said) if is_problem else {}) from None
        return json.loads(said) if is_json else said.decode()
