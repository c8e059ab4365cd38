"""A lean HTTP client: one connection, kept alive, and only the status of an answer. It leaves the processor to others."""

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
        head = b"POST %s HTTP/1.1\r\nHost: storm\r\nContent-Length: %d\r\nStripe-Signature: %s\r\n\r\n"
        return self.send(head % (path.encode(), len(body), header) + body)

    def send(self, request: bytes) -> int:
        """The status of the answer to the bytes of a request.

        Raises:
            OSError: no answer.
        """
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port), self._timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(request)
            return self._answer()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """The next request opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _answer(self) -> int:
        assert self._socket is not None
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head = received[:end].lower()
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        missing = end + 4 + length - len(received)
        while missing > 0:
            missing -= len(self._more())
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head[9:12])

    def _more(self) -> bytes:
        assert self._socket is not None
        chunk = self._socket.recv(65_536)
        if not chunk:
            raise ConnectionResetError("closed without an answer")
        return chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()
