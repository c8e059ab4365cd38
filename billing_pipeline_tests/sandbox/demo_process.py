"""The demo as a process of its own on a state folder of its own, and what it left there."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.engine import open_warehouse
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.account import FoundInvoice, StripeAccount
from billing_pipeline.sandbox.stripe_emulator import running_emulator
from billing_pipeline.settings import ROOT, load_settings
from billing_pipeline_tests.contract.traffic import Exchange, recorded

TIMEOUT_S = 300

RECONCILED = "Every number reconciles."


def environment(state: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tests' environment without the developer's settings."""
    outside = ("BILLING_", "STRIPE_", "DAGSTER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    return {**kept, "BILLING_STATE_DIR": str(state), "PYTHONUNBUFFERED": "1", **(extra or {})}


def start_demo(
    state: Path, now: datetime | None = None, *options: str, extra: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """A demo whose output can be read while it runs; stderr goes into it."""
    command = [sys.executable, "-m", "billing_pipeline.cli", "demo", *options]
    if now is not None:
        script = "import sys; from datetime import datetime; from billing_pipeline.sandbox.demo import run_demo;"
        command = [sys.executable, "-c", f"{script} sys.exit(run_demo(datetime.fromisoformat({now.isoformat()!r})))"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(state, extra), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def demo(
    state: Path, now: datetime | None = None, *options: str, extra: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit status and output of a demo that runs to its end."""
    process = start_demo(state, now, *options, extra=extra)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, output


def recorded_demo(state: Path, now: datetime) -> tuple[int, str, list[Exchange]]:
    """A demo that finds an emulator of this process, and all that was said to it."""
    state.mkdir(parents=True, exist_ok=True)
    unlimited: dict[str, Any] = {"rate_limit_per_s": 0, "rate_limit_per_endpoint_per_s": 0}
    with recorded() as said, running_emulator(state / "stripe.sqlite", **unlimited) as emulator:
        status, output = demo(state, now, extra={"STRIPE_API_BASE": emulator.base_url})
    return status, output, said


def kill_demo(state: Path, after_line: str, delay_s: float) -> str:
    """SIGKILL a demo some time after it printed a line that starts so; returns what it had printed."""
    process = start_demo(state)
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if line.startswith(after_line):
            break
    try:
        process.wait(delay_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=TIMEOUT_S)
    return "".join(printed) + rest


@contextmanager
def opened(state: Path) -> Iterator[Warehouse]:
    """The demo's database."""
    before = os.environ.get("BILLING_STATE_DIR")
    os.environ["BILLING_STATE_DIR"] = str(state)
    try:
        warehouse = open_warehouse(load_settings())
    finally:
        if before is None:
            del os.environ["BILLING_STATE_DIR"]
        else:
            os.environ["BILLING_STATE_DIR"] = before
    yield warehouse
    warehouse.engine.dispose()


def stop_database(state: Path) -> None:
    """A killed process leaves the embedded server running."""
    embedded_postgres.start(state / "postgres").stop()


def at_stripe(state: Path) -> tuple[list[FoundInvoice], dict[str, int]]:
    """All invoices at the emulator, and the successful payments by invoice."""
    with running_emulator(state / "stripe.sqlite") as emulator, StripeAccount(emulator.base_url) as account:
        return account.invoices(), account.successful_payments()


def tables(state: Path) -> dict[str, list[dict[str, Any]]]:
    """Everything that a second demo must leave as it is."""
    names = ("usage_events", "usage_snapshots", "invoice_line_items", "invoices", "stripe_charges", "customers")
    with opened(state) as warehouse:
        return {
            name: warehouse.rows(f"SELECT md5(t::text) AS row FROM billing.{name} AS t ORDER BY 1") for name in names
        }
