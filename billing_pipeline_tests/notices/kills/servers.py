"""A mail server and a platform as processes, which write down what they take before they say so, and are killed."""

import json
import os
import signal
import socketserver
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from billing_pipeline_tests.notices.kills.crossings import Crossings
from billing_pipeline_tests.notices.mail_server import MailServer, Session

MAIL_STEPS = tuple(
    f"mail server, {step}: {when}"
    for step in ("connect", "EHLO", "MAIL", "RCPT", "DATA", "taken")
    for when in ("not answered", "answered")
)
PLATFORM_STEPS = ("platform: read", "platform: kept, not answered", "platform: answered")


class Spool:
    """What a server took: a line each, on the disk before it is answered."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, taken: Any) -> None:
        key = taken if isinstance(taken, str) else str(taken["Message-ID"]).strip("<>").partition("@")[0]
        with self.path.open("a", encoding="ascii") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())

    def keys(self) -> list[str]:
        return self.path.read_text(encoding="ascii").split() if self.path.exists() else []


class Process:
    """A server in a process of its own, on a port that stays."""

    def __init__(self, spool: Spool, serve: Callable[[int, Spool, Crossings], None], port: int) -> None:
        self.spool = spool
        self.port = port
        self._serve = serve
        self._pid = 0

    def start(self, doomed: str | None = None, occurrence: int = 1) -> None:
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._serve(self.port, self.spool, Crossings(doomed, occurrence))
            finally:
                os._exit(1)

    def stop(self) -> bool:
        """End it; returns whether it was dead already."""
        done, status = os.waitpid(self._pid, os.WNOHANG)
        if not done:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        return bool(done) and os.WIFSIGNALED(status)


class _Session(Session):
    def _say(self, step: str, answer: str) -> bool:
        crossed: Crossings = self.server.crossed  # type: ignore[attr-defined] # set by serve_mail
        crossed(f"mail server, {step}: not answered")
        said = super()._say(step, answer)
        crossed(f"mail server, {step}: answered")
        return said


def serve_mail(port: int, spool: Spool, crossed: Crossings) -> None:
    """Until it is killed."""
    server = MailServer(port=port, session=_Session)
    server.crossed = crossed  # type: ignore[attr-defined]
    server.mails = spool  # type: ignore[assignment] # takes mails as a list does
    server.serve_forever()


def serve_platform(port: int, spool: Spool, crossed: Crossings) -> None:
    """Until it is killed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            json.loads(self.rfile.read(int(self.headers["content-length"])))
            crossed("platform: read")
            spool.append(self.headers["webhook-id"])
            crossed("platform: kept, not answered")
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            crossed("platform: answered")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's name for it
            pass

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that is killed hangs up."""

    Server(("127.0.0.1", port), Handler).serve_forever()
