"""Mails a second over one connection: notices in the outbox, the shipped words, a mail server that takes everything.

The server is a process of its own; each mail is rendered, claimed, handed over and recorded as in production.
"""

import json
import multiprocessing
import socketserver
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from typing import Any

from sqlalchemy import text

from billing_pipeline.notices.sending import Post, send_notices
from billing_pipeline.notices.smtp import SmtpSender
from billing_pipeline.notices.trying import SAMPLE
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.sandbox.bench.steps import connect
from billing_pipeline.sandbox.lean_http import HOST, free_port
from billing_pipeline.settings.notices import SmtpServer

NOTICES = 10_000
CUSTOMERS = 1_000
READY_WITHIN_S = 60
_SERVE = "import sys; from billing_pipeline.sandbox.bench.notices import serve; serve(int(sys.argv[1]))"


def measure_notices(url: str, count: int = NOTICES) -> dict[str, Any]:
    """Send so many; `per_s` is the rate over one connection, `cpu_ms_a_mail` what this process works for it.

    `progress` is how often a run says how far it is.
    """
    warehouse = connect(url)
    migrate(warehouse, roles=True)
    with warehouse.transaction() as connection:
        connection.execute(text(_CUSTOMERS), {"count": CUSTOMERS})
        connection.execute(text(_NOTICES), {"count": count, "customers": CUSTOMERS, "facts": json.dumps(SAMPLE)})
    said: list[str] = []
    with _mail_server() as server:
        post = _post(server)
        began, worked = time.perf_counter(), time.process_time()
        outcomes = send_notices(warehouse, post, log=said.append).outcomes
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
        post.sender.close()
    warehouse.engine.dispose()
    return {
        "notices": outcomes["sent"],
        "seconds": round(seconds, 1),
        "per_s": round(outcomes["sent"] / seconds, 1),
        "cpu_ms_a_mail": round(1000 * cpu_seconds / outcomes["sent"], 2),
        "progress": len(said),
    }


@contextmanager
def mailing(url: str) -> Iterator[None]:
    """Meanwhile a process of its own sends whatever is due."""
    context = multiprocessing.get_context("spawn")
    is_ready = context.Event()
    with _mail_server() as server:
        process = context.Process(target=_send_on, args=(url, server, is_ready), daemon=True)
        process.start()
        try:
            is_ready.wait(READY_WITHIN_S)  # its start is not what is measured
            yield
        finally:
            process.kill()
            process.join()


def _send_on(url: str, server: SmtpServer, is_ready: Event) -> None:
    warehouse, post = connect(url), _post(server)
    is_ready.set()
    while True:
        send_notices(warehouse, post, log=lambda _: None)
        time.sleep(0.5)


def _post(server: SmtpServer) -> Post:
    return Post(SmtpSender(server), Wording(None, "en", "Lyceum", None), "billing@example.com")


@contextmanager
def _mail_server() -> Iterator[SmtpServer]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", _SERVE, str(port)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None  # noqa: S101 - for mypy
        server.stdout.readline()
        yield SmtpServer("smtp+plain", HOST, port, None, None)
    finally:
        server.kill()
        server.wait()


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            self.wfile.write(b"220 ready\r\n")
            while line := self.rfile.readline():
                if line[:4].upper() != b"DATA":
                    self.wfile.write(b"250 ok\r\n")
                    continue
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self.wfile.write(b"250 taken\r\n")


def serve(port: int) -> None:
    """A mail server that takes everything and keeps nothing, until it is killed; says when it listens."""
    with socketserver.ThreadingTCPServer((HOST, port), _Session) as server:
        print("ready", flush=True)  # noqa: T201 - to who started it
        server.serve_forever()


_CUSTOMERS = """
INSERT INTO billing.customers (customer_id, name, email, currency, timezone, status, language)
SELECT 'n' || n, 'Customer ' || n, 'n' || n || '@example.com', 'usd', 'UTC', 'active',
    (ARRAY['en', 'de', 'ar'])[1 + n % 3]
FROM generate_series(1, :count) AS n
"""
_NOTICES = """
INSERT INTO billing.notices (kind, customer_id, fact, channel, recipient, facts)
SELECT 'credit_note_issued', c.customer_id, 'credit_note_issued:' || n, 'mail', c.email, CAST(:facts AS jsonb)
FROM generate_series(1, :count) AS n JOIN billing.customers AS c ON c.customer_id = 'n' || (1 + n % :customers)
"""
