"""A proxy on loopback between a run and Postgres, which cuts the connection at a commit it is told to wait for."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

COMMITS = (b"COMMIT", b"UPDATE billing.stripe_charges AS c")
"""What commits: a transaction's end, and the charger's statements, each of which is a transaction by itself."""
CHUNK_BYTES = 1 << 16


@dataclass
class CuttingProxy:
    """Forwards to a unix socket. `cut_at` counts commits of all connections; None: nothing is cut."""

    target: str
    port: int = 0
    cut_at: int | None = None
    after: bool = False
    cuts: int = 0
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, cut_at: int, *, after: bool) -> None:
        """Cut at the so-manieth commit from now: before it reaches the server, or after, so that its answer is lost."""
        with self._lock:
            self.cut_at, self.after, self._seen = cut_at, after, 0

    def is_the_one(self, message: bytes) -> bool:
        if not any(commit in message for commit in COMMITS):
            return False
        with self._lock:
            self._seen += 1
            if self.cut_at is None or self._seen != self.cut_at:
                return False
            self.cut_at = None
            self.cuts += 1
            return True


class _Link:
    """One client's connection and the server's."""

    def __init__(self, proxy: CuttingProxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(proxy.target)
        self._swallow = False
        threading.Thread(target=self._to_server, daemon=True).start()
        threading.Thread(target=self._to_client, daemon=True).start()

    def _to_server(self) -> None:
        with suppress(OSError):
            while message := self._client.recv(CHUNK_BYTES):
                if self._proxy.is_the_one(message):
                    if not self._proxy.after:
                        break
                    self._swallow = True
                self._server.sendall(message)
        if not self._swallow:
            self._cut()

    def _to_client(self) -> None:
        with suppress(OSError):
            while message := self._server.recv(CHUNK_BYTES):
                if self._swallow:
                    break
                self._client.sendall(message)
        self._cut()

    def _cut(self) -> None:
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


@contextmanager
def cutting_proxy(target: str) -> Iterator[CuttingProxy]:
    """A proxy to the server's unix socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = CuttingProxy(target, listener.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    _Link(proxy, client)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield proxy
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
