"""Requests a second of the webhook receiver, beside the same INSERT without HTTP and an endpoint that does nothing.

The receiver and the empty endpoint are processes of their own; who sends is in this one and takes its share of the
processors.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from starlette.types import Receive, Scope, Send

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.store import parse_event
from billing_pipeline.events.writer import EventWriter
from billing_pipeline.sandbox.lean_http import HOST, Connection, free_port
from billing_pipeline.sandbox.stripe_emulator.delivery import signature
from billing_pipeline.settings import EMULATOR_KEY, ROOT, load_settings
from billing_pipeline.web.receiver.app import PATHS

REQUESTS = 8_000
SENDERS = 16
READY_WITHIN_S = 60.0
_SECRET = "whsec_" + "b" * 32
_EMPTY = (
    "import sys, uvicorn; from billing_pipeline.sandbox.bench.receiver import empty;"
    "from billing_pipeline.web.receiver.server import configured;"
    "config = configured(empty, host='127.0.0.1', port=int(sys.argv[1]));"
    "config.lifespan = 'off'; uvicorn.Server(config).run()"
)


async def empty(_: Scope, receive: Receive, send: Send) -> None:
    """Reads a request and answers 200."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def measure_receiver(database_url: str) -> dict[str, Any]:
    """Requests a second and the p99 in milliseconds, of each of the three; the database is migrated."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("STRIPE_WEBHOOK")},
        "STRIPE_SECRET_KEY": EMULATOR_KEY,
        "STRIPE_WEBHOOK_SECRET": _SECRET,
        "BILLING_RECEIVER_DATABASE_URL": database_url,
    }
    port = free_port()
    with in_a_process(["-m", "billing_pipeline.cli", "receiver", "--port", str(port)], port, environment):
        receiver = _rate(lambda: _sender(port))
    port = free_port()
    with in_a_process(["-c", _EMPTY, str(port)], port, environment):
        nothing = _rate(lambda: _sender(port))
    writer = EventWriter(database_url, EventCipher(load_settings().events.keys))
    insert = _rate(lambda: nullcontext(lambda body: _require(writer.store(parse_event(body)) == "stored")))
    writer.close()
    return {"receiver": receiver, "insert": insert, "empty_endpoint": nothing}


@contextmanager
def _sender(port: int) -> Iterator[Callable[[bytes], None]]:
    with Connection(port) as connection:

        def send(body: bytes) -> None:
            header = signature(body.decode(), _SECRET, int(time.time()))
            _require(connection.post(PATHS[0], body, header.encode()) == 200)

        yield send


def _require(held: bool) -> None:
    if not held:
        raise RuntimeError("a request failed: the figures would mean nothing")


def _rate(worker: Callable[[], AbstractContextManager[Callable[[bytes], None]]]) -> dict[str, Any]:
    """Events of their own, sent by SENDERS at once, each waiting for its answer."""
    took_s: list[float] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with worker() as send:
                for _ in range(REQUESTS // SENDERS):
                    body = _event()
                    began = time.perf_counter()
                    send(body)
                    took_s.append(time.perf_counter() - began)
        except BaseException as failure:  # noqa: BLE001 - is raised where it is seen
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(SENDERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    return {
        "requests_per_s": round(len(took_s) / seconds),
        "p50_ms": round(sorted(took_s)[len(took_s) // 2] * 1000, 1),
        "p99_ms": round(sorted(took_s)[len(took_s) * 99 // 100] * 1000, 1),
    }


def _event() -> bytes:
    return (
        b'{"id": "evt_%s", "object": "event", "api_version": "2026-10-28.endive", "created": 1790000000,'
        b' "livemode": false, "type": "invoice.paid", "data": {"object": {"id": "in_bench", "padding": "%s"}}}'
    ) % (uuid4().hex.encode(), b"x" * 2_000)


@contextmanager
def in_a_process(arguments: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """A Python that serves on the port, for as long as the block takes, with a state folder of its own."""
    with TemporaryDirectory(prefix="billing-bench-state-") as state:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=Path(ROOT),
            env={**environment, "BILLING_STATE_DIR": state},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + READY_WITHIN_S
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"nothing answers on {HOST}:{port}")
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), Connection(port) as connection:
        return connection.send(b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n") == 200
    return False
