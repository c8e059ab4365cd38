"""A lean HTTP client for load: one connection, kept alive, and only the status of an answer.

It leaves the processor to what is measured.
"""

import socket
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


class Connection:
    """Not for two threads at once."""

    def __init__(self, port: int, timeout_s: float = 15.0) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def post(self, path: str, body: bytes, header: bytes) -> int:
        """The status of the answer; `header` is the value of Stripe-Signature.

        Raises:
            OSError: no answer; whether the request had an effect is not known.
        """
        head = b"POST %s HTTP/1.1\r\nHost: local\r\nContent-Length: %d\r\nStripe-Signature: %s\r\n\r\n"
        return self.send(head % (path.encode(), len(body), header) + body)

    def send(self, request: bytes) -> int:
        """The status of the answer to the bytes of a request.

        Raises:
            OSError: no answer.
        """
        opened = self._socket or self._open()
        try:
            opened.sendall(request)
            return self._answer(opened)
        except OSError:
            self.close()
            raise

    def _open(self) -> socket.socket:
        self._socket = socket.create_connection((HOST, self._port), self._timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def close(self) -> None:
        """The next request opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _answer(self, opened: socket.socket) -> int:
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += _more(opened)
        head = received[:end].lower()
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        missing = end + 4 + length - len(received)
        while missing > 0:
            missing -= len(_more(opened))
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head[9:12])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


def _more(opened: socket.socket) -> bytes:
    chunk = opened.recv(65_536)
    if not chunk:
        raise ConnectionResetError("closed without an answer")
    return chunk


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
