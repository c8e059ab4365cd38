"""Requests to the identity provider: https alone, but for this machine, and no answer without end."""

import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

TIMEOUT_S = 5
ANSWER_MAX_BYTES = 1024 * 1024


def get(url: str) -> Any:
    """The JSON at an address.

    Raises:
        OSError, http.client.HTTPException: it does not answer.
        ValueError: the address is none of https, or the answer is not 200 or no JSON.
    """
    return _ask("GET", url, None, {})


def post_form(url: str, form: Mapping[str, str], client: tuple[str, str] | None) -> Any:
    """The JSON that a form is answered; `client` is a name and its secret (RFC 6749, 2.3.1). Raises as `get` does."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if client is not None:
        headers["Authorization"] = f"Basic {b64encode(':'.join(map(quote_plus, client)).encode()).decode()}"
    return _ask("POST", url, urlencode(form), headers)


def _ask(method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Any:
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
        connection.request(method, path, body, {"Accept": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read(ANSWER_MAX_BYTES + 1)
    finally:
        connection.close()
    if answer.status != 200 or len(content) > ANSWER_MAX_BYTES:
        raise ValueError(f"{parts.netloc} answered {answer.status} with {len(content)} bytes")
    return json.loads(content)
