"""Serving the receiver with uvicorn, with the limits on slow and endless requests that it has none of itself."""

import asyncio
import logging
import resource
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from billing_pipeline.core.errors import UserError
from billing_pipeline.web.receiver.logs import write_logs

HEAD_WITHIN_S = 10.0
HEAD_MAX_BYTES = 64 * 1024
CONNECTIONS_MAX = 512
"""Beyond it the answer is 503; what is there is kept in memory, at most 64 KiB each."""
FILES = 1_024
BACKLOG = 1_024
_log = logging.getLogger("billing.receiver")


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose next request head does not come whole in time or grows without end.

    The clock also runs while the rest of a body that was refused early is read and thrown away.
    """

    _head_deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _received_bytes = 0
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head is expected."""
        super().connection_made(transport)
        self._expect_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._head_bytes, self._received_bytes = True, 0, 0
        super().on_message_begin()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that has not come whole, its unfinished lines included."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._received_bytes += len(data)
            if self._received_bytes > HEAD_MAX_BYTES:
                self.send_400_response("Request head too large.")

    def on_url(self, url: bytes) -> None:
        """Count it: a head may also come whole in one piece."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count it, with the colon, the blank and the line break."""
        self._count(len(name) + len(value or b"") + 4)
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_MAX_BYTES:
            raise ValueError("request head too large")  # the parser stops, and uvicorn answers 400 and closes

    def on_headers_complete(self) -> None:
        """The head is there; the body has limits of its own."""
        self._in_head = False
        self._cancel_deadline()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The next head is expected."""
        super().on_response_complete()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is expected any more."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._cancel_deadline()
        if not self.transport.is_closing():
            self._head_deadline = self.loop.call_later(HEAD_WITHIN_S, self._head_is_late)

    def _head_is_late(self) -> None:
        under_way: RequestResponseCycle | None = self.cycle
        if under_way is None or under_way.response_complete:
            self.timeout_keep_alive_handler()

    def _cancel_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are answered first.

    A second receiver may listen on the same port: start one with new settings, then stop the old one, and none of
    Stripe's requests finds the door closed.

    Raises:
        UserError: the address cannot be listened on.
    """
    write_logs()
    _allow_files(FILES)
    with _listener(host, port) as listener:
        _Server(configured(app, host=host, port=port)).run(sockets=[listener])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # on a shared port only this tells which of the receivers answers
        _log.info("listening on http://%s:%d", self.config.host, self.config.port)


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None
    listener.listen(BACKLOG)
    return listener


def configured(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """How uvicorn serves the receiver."""
    return uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
        **options,
    )


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        within = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (within, hard))
