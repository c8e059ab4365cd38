"""`billing up`: Dagster's UI and daemon, Stripe emulator, webhook receiver and API as child processes, until Ctrl-C.

Plain Dagster works as well (`billing env`); this only spares one the environment variables. Children are ended by the
process groups that they were started in, never by name.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click

from billing_pipeline.access.links import console_link, portal_link
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.first_month import keep_first_month
from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.engine import open_warehouse
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.roles import url_of_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo import needs_demo, require_emulator, run_demo
from billing_pipeline.sandbox.webhooks import register_endpoint
from billing_pipeline.settings import EMULATOR_KEY, PROJECT_FILES, ROOT, Settings, SettingsError, load_settings
from billing_pipeline.settings.dagster_home import dagster_home
from billing_pipeline.settings.environment import private_folder
from billing_pipeline.web.receiver.app import PATHS

HOST = "127.0.0.1"
EMULATOR_PORT = 12111
PORTS_TRIED = 20
POLL_S = 0.5
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 15.0
LOG_LINES_SHOWN = 15
RESTARTS_MAX = 5
RESTARTS_WITHIN_S = 600.0
"""More ends of children than RESTARTS_MAX within this time end everything: it would not get better."""


@dataclass(frozen=True)
class Child:
    """A process of ours, the leader of a process group of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def run_up(port: int = 3000) -> int:
    """Run until Ctrl-C or SIGTERM. A child that ends by itself is started again, and that is said.

    Args:
        port: where the UI listens on 127.0.0.1.

    Returns:
        The exit status: 0 after Ctrl-C or SIGTERM, 1 if a child ended by itself again and again.

    Raises:
        SettingsError: the port is taken, or STRIPE_SECRET_KEY is not the emulator's.
    """
    settings = load_settings()
    require_emulator(settings, "billing up")
    if not _is_free(port):
        raise SettingsError(f"port {port} on {HOST} is taken: stop what listens there, or choose another with --port")
    # kept open until the end: an embedded server stops with the last process that uses it
    warehouse = open_warehouse(settings)
    migrate(warehouse)
    if needs_demo(warehouse) and run_demo() != 0:
        click.echo("The demo did not reconcile; the UI shows what is there.", err=True)
    keep_first_month(warehouse, settings)
    warehouse.engine.dispose()  # the children have connections of their own
    stop = threading.Event()
    with _signals(stop), _children() as children:
        environment = {"BILLING_DAGSTER_URL": f"http://{HOST}:{port}", **_environment(settings, warehouse)}
        if settings.stripe.api_base is None:
            emulator_port = _free_port_from(EMULATOR_PORT)
            environment["STRIPE_API_BASE"] = f"http://{HOST}:{emulator_port}"
            command = ["-m", "billing_pipeline.cli", "emulator", "--port", str(emulator_port)]
            children.append(_start("emulator", command, environment, settings))
        webserver = [
            "-m",
            "dagster_webserver",
            "-h",
            HOST,
            "-p",
            str(port),
            "-w",
            str(PROJECT_FILES / "workspace.yaml"),
        ]
        children.append(_start("webserver", webserver, environment, settings))
        daemon = ["-m", "dagster._daemon", "run", "-w", str(PROJECT_FILES / "workspace.yaml")]
        children.append(_start("daemon", daemon, environment, settings))
        click.echo("starting; logs are in " + str(children[0].log.parent))
        ended = _wait_until_ready(children, f"{environment['STRIPE_API_BASE']}/_emulator/healthz", stop)
        if ended is None and not stop.is_set():
            webhook_url = _start_receiver(children, environment, settings, warehouse)
            api_url = _start_api(children, environment, settings, warehouse)
            ended = _wait_until_ready(children, f"http://{HOST}:{port}/server_info", stop)
        if ended is None and not stop.is_set():
            click.echo(f"Dagster UI       http://{HOST}:{port}")
            click.echo(f"Stripe emulator  {environment['STRIPE_API_BASE']}/_emulator/summary")
            click.echo(f"Stripe webhooks  {webhook_url}")
            click.echo(f"API              {api_url}/api/billing/docs")
            _print_links(warehouse, api_url)
            click.echo("Ctrl-C ends all of it.")
            ended = _wait(children, stop, settings)
    if ended is None:
        return 0
    _explain(ended)
    return 1


def _environment(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    """What the children need; nothing that the user set is overruled but DAGSTER_HOME."""
    return {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home(settings.state_dir)),
        "DAGSTER_POSTGRES_URL": warehouse.dagster_url.render_as_string(hide_password=False),
        "STRIPE_SECRET_KEY": EMULATOR_KEY,
        "BILLING_STATE_DIR": str(settings.state_dir),
    }


def _start_receiver(
    children: list[Child], environment: dict[str, str], settings: Settings, warehouse: Warehouse
) -> str:
    """Start the receiver, have the emulator send its events there, and return where that is."""
    port = _free_port_from(settings.receiver_port)
    url = f"http://{HOST}:{port}{PATHS[0]}"
    own = {
        "BILLING_RECEIVER_DATABASE_URL": libpq_url(url_of_login(warehouse, "billing_receiver")),
        **environment,
        "STRIPE_WEBHOOK_SECRET": register_endpoint(environment["STRIPE_API_BASE"], url, settings.state_dir),
    }
    command = ["-m", "billing_pipeline.cli", "receiver", "--port", str(port)]
    children.append(_start("receiver", command, own, settings))
    return url


def _start_api(children: list[Child], environment: dict[str, str], settings: Settings, warehouse: Warehouse) -> str:
    """Start the API with its pages and return where; `billing tokens create` and `billing links` let somebody in."""
    port = _free_port_from(settings.api.port)
    url = f"http://{HOST}:{port}"
    # the way back from Stripe's pages
    database_url = libpq_url(url_of_login(warehouse, "billing_api"))
    own = {"BILLING_PUBLIC_URL": url, "BILLING_DATABASE_URL": database_url, **environment}
    children.append(_start("api", ["-m", "billing_pipeline.cli", "api", "--port", str(port)], own, settings))
    return url


def _print_links(warehouse: Warehouse, api_url: str) -> None:
    """A link into the console and one into the portal of a customer with invoices; each works once."""
    signature = Signature("billing up", "to look around")
    click.echo(f"Console          {api_url}/console/enter/{console_link(warehouse, signature, 'operator', 'operator')}")
    customer = warehouse.scalar(
        "SELECT c.customer_id FROM billing.customers AS c LEFT JOIN billing.invoices AS i USING (customer_id)"
        " GROUP BY c.customer_id ORDER BY count(i.number) = 0, c.customer_id LIMIT 1"
    )
    if customer is not None:
        link = portal_link(warehouse, signature, customer)
        click.echo(f"Portal           {api_url}/portal/enter/{link}  (customer {customer})")


def _start(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], settings: Settings, *, again: bool = False
) -> Child:
    log = settings.state_dir / "up" / f"{name}.log"
    private_folder(log.parent)
    with log.open("ab" if again else "wb") as output:
        # a session of its own: Ctrl-C in the terminal reaches us alone, and what the child starts can be ended with it
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Child(name, process, log, arguments, environment)


@contextmanager
def _children() -> Iterator[list[Child]]:
    """Collects children and ends them all, the last first."""
    children: list[Child] = []
    try:
        yield children
    finally:
        for child in reversed(children):
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        for child in reversed(children):
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            # the whole process group: it holds Dagster's code servers, which the child leaves behind
            _signal_group(child, signal.SIGKILL)
            child.process.wait()


def _signal_group(child: Child, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop`."""

    def set_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, set_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_until_ready(children: Sequence[Child], url: str, stop: threading.Event) -> Child | None:
    """Return None when `url` answers, or the child that ended before it did."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        ended = _ended(children)
        if ended is not None or _answers(url) or stop.wait(POLL_S):
            return ended
    return None


def _wait(children: list[Child], stop: threading.Event, settings: Settings) -> Child | None:
    """Start children that end again, until `stop`; return one that ends too often."""
    restarts: list[float] = []
    while not stop.wait(POLL_S):
        ended = _ended(children)
        if ended is None:
            continue
        now = time.monotonic()
        restarts = [at for at in restarts if now - at < RESTARTS_WITHIN_S]
        if len(restarts) >= RESTARTS_MAX:
            return ended
        restarts.append(now)
        # its code servers would go on without it
        _signal_group(ended, signal.SIGKILL)
        click.echo(f"The {ended.name} ended with status {ended.process.returncode}; it is started again.", err=True)
        started = _start(ended.name, ended.arguments, ended.environment, settings, again=True)
        children[children.index(ended)] = started
    return None


def _ended(children: Sequence[Child]) -> Child | None:
    return next((child for child in children if child.process.poll() is not None), None)


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=POLL_S)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _explain(ended: Child) -> None:
    click.echo(
        f"Error: the {ended.name} ended with status {ended.process.returncode}; {ended.log} ends with:", err=True
    )
    lines = ended.log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines[-LOG_LINES_SHOWN:]:
        click.echo(f"  {line}", err=True)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port_from(first: int) -> int:
    for port in range(first, first + PORTS_TRIED):
        if _is_free(port):
            return port
    raise SettingsError(f"no port from {first} to {first + PORTS_TRIED - 1} on {HOST} is free")
