"""One POST to an address of another's, with the edge after which it may have it."""

import http.client
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from billing_pipeline.notices.senders import AnswerLost


class Unreachable(Exception):  # noqa: N818 - reads as what happened
    """No connection; nothing was given away."""


def post(url: str, content: bytes, headers: Mapping[str, str], edge: Callable[[], None], timeout_s: float) -> int:
    """The answer's status. A redirection is one: whoever moved says so to us, not to our requests.

    Raises:
        Unreachable: there is no connection.
        AnswerLost: there was one, and it ended without an answer.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    )
    try:
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(f"{parts.netloc} cannot be reached: {error}") from None
        edge()
        path = parts.path or "/"
        try:
            connection.request("POST", f"{path}?{parts.query}" if parts.query else path, content, dict(headers))
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise AnswerLost(f"{parts.netloc} did not answer: {type(error).__name__}") from None
    finally:
        connection.close()
