"""`billing up`: Dagster's UI and daemon, Stripe emulator, webhook receiver, API and mailbox as child processes.

They run until Ctrl-C. Plain Dagster works as well (`billing env`); this only spares one the environment variables.
"""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from billing_pipeline.access.links import console_link, portal_link
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.first_month import keep_first_month
from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.engine import open_warehouse
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.roles import url_of_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.children import Child, explain, keep_running, running, start, wait_until_ready
from billing_pipeline.sandbox.demo import needs_demo, require_emulator, run_demo
from billing_pipeline.sandbox.webhooks import register_endpoint
from billing_pipeline.settings import EMULATOR_KEY, PROJECT_FILES, Settings, SettingsError, load_settings
from billing_pipeline.settings.dagster_home import dagster_home
from billing_pipeline.web.receiver.app import PATHS

HOST = "127.0.0.1"
EMULATOR_PORT = 12111
MAILBOX_PORT = 12400
PORTS_TRIED = 20


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
    from billing_pipeline.defs.instance import make_storage  # Dagster is a second of imports

    make_storage(warehouse.dagster_url.render_as_string(hide_password=False))  # two of the children would both try
    warehouse.engine.dispose()  # the children have connections of their own
    stop = threading.Event()
    with _signals(stop), running() as children:
        environment = {"BILLING_DAGSTER_URL": f"http://{HOST}:{port}", **_environment(settings, warehouse)}
        if settings.stripe.api_base is None:
            emulator_port = _free_port_from(EMULATOR_PORT)
            environment["STRIPE_API_BASE"] = f"http://{HOST}:{emulator_port}"
            command = ["-m", "billing_pipeline.cli", "emulator", "--port", str(emulator_port)]
            children.append(start("emulator", command, environment, settings))
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
        children.append(start("webserver", webserver, environment, settings))
        daemon = ["-m", "dagster._daemon", "run", "-w", str(PROJECT_FILES / "workspace.yaml")]
        children.append(start("daemon", daemon, environment, settings))
        click.echo("starting; logs are in " + str(children[0].log.parent))
        ended = wait_until_ready(children, f"{environment['STRIPE_API_BASE']}/_emulator/healthz", stop)
        if ended is None and not stop.is_set():
            webhook_url = _start_receiver(children, environment, settings, warehouse)
            api_url = _start_api(children, environment, settings, warehouse)
            mailbox_url = _start_mailbox(children, environment, settings)
            ended = wait_until_ready(children, f"http://{HOST}:{port}/server_info", stop)
        if ended is None and not stop.is_set():
            click.echo(f"Dagster UI       http://{HOST}:{port}")
            click.echo(f"Stripe emulator  {environment['STRIPE_API_BASE']}/_emulator/summary")
            click.echo(f"Stripe webhooks  {webhook_url}")
            click.echo(f"API              {api_url}/api/billing/docs")
            if mailbox_url is not None:
                click.echo(f"Mailbox          {mailbox_url}")
            _print_links(warehouse, api_url)
            click.echo("Ctrl-C ends all of it.")
            ended = keep_running(children, stop, settings)
    if ended is None:
        return 0
    explain(ended)
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
    children.append(start("receiver", command, own, settings))
    return url


def _start_api(children: list[Child], environment: dict[str, str], settings: Settings, warehouse: Warehouse) -> str:
    """Start the API with its pages and return where; `billing tokens create` and `billing links` let somebody in."""
    port = _free_port_from(settings.api.port)
    url = f"http://{HOST}:{port}"
    # the way back from Stripe's pages
    database_url = libpq_url(url_of_login(warehouse, "billing_api"))
    own = {"BILLING_PUBLIC_URL": url, "BILLING_DATABASE_URL": database_url, **environment}
    children.append(start("api", ["-m", "billing_pipeline.cli", "api", "--port", str(port)], own, settings))
    return url


def _start_mailbox(children: list[Child], environment: dict[str, str], settings: Settings) -> str | None:
    """Start the mailbox and return where; None: a mail server takes the mails."""
    if settings.notices.smtp is not None:
        return None
    port = _free_port_from(MAILBOX_PORT)
    children.append(
        start("mailbox", ["-m", "billing_pipeline.cli", "mailbox", "--port", str(port)], environment, settings)
    )
    return f"http://{HOST}:{port}"


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
