"""A real HTTP server on 127.0.0.1 that keeps what it took: the platform, a chat, a pager."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Platform(ThreadingHTTPServer):
    """Keeps what it took; `answers`: what it says instead of 200, once each; 0 hangs up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.posted: list[tuple[str, bytes]] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks?from=billing"

    def messages(self) -> list[tuple[str, str]]:
        return [(m["type"], m["data"]["customer_id"]) for m in (json.loads(body) for _, body in self.heard)]


class _Handler(BaseHTTPRequestHandler):
    server: Platform

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status in (0, 200):
            self.server.posted.append((self.path, body))
            self.server.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
        if status == 0:
            self.connection.close()
            return
        self.send_response(status)
        if status == 302:
            self.send_header("location", "http://127.0.0.1:1/")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's name for it
        pass


@contextmanager
def running_platform() -> Iterator[Platform]:
    with Platform() as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # it hangs up on purpose
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
