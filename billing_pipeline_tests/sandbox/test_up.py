"""`billing up`: the UI answers with the asset graph, and nothing stays behind, however it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from billing_pipeline.cli import main
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.sandbox import children as children_of_up
from billing_pipeline.sandbox import up
from billing_pipeline.settings import EMULATOR_KEY, ROOT, load_settings
from billing_pipeline_tests.sandbox.demo_process import environment, opened, stop_database


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder with a customer of one's own, so that no demo has to run first."""
    folder = tmp_path / "state"
    with opened(folder) as warehouse:
        migrate(warehouse)
        with warehouse.transaction() as connection:
            connection.execute(
                text(
                    "INSERT INTO billing.customers (customer_id, name, email, currency, timezone)"
                    " VALUES ('acme', 'Acme', 'a@example.com', 'usd', 'UTC')"
                )
            )
    yield folder
    stop_database(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def descendants(pid: int) -> set[int]:
    """Processes below this one, at any depth."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found: set[int] = set()
    while grown := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= grown
    return found


def is_running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def graphql(port: int, query: str) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/graphql", json.dumps({"query": query}), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["data"]


def make_customer(emulator_port: int) -> None:
    connection = HTTPConnection("127.0.0.1", emulator_port, timeout=60)
    connection.request("POST", "/v1/customers", "", {"Authorization": f"Bearer {EMULATOR_KEY}"})
    assert connection.getresponse().status == 200
    connection.close()


def eventually_answered(port: int) -> str:
    """The first page that is served there."""
    for _ in range(600):
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("nothing answers")


def eventually_stored(state: Path) -> list[str]:
    """Types of the events that the receiver stored, once there are some."""
    with opened(state) as warehouse:
        for _ in range(600):
            types = [row["type"] for row in warehouse.rows("SELECT type FROM billing.stripe_events")]
            if types:
                return types
            time.sleep(0.05)
    raise AssertionError("no event arrived")


def test_the_ui_shows_the_asset_graph_events_arrive_and_ctrl_c_leaves_no_process_behind(state):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "billing_pipeline.cli", "up", "--port", str(port)],
        cwd=ROOT,
        env=environment(state),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(150, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("Ctrl-C"):
                break
        assert f"http://127.0.0.1:{port}" in "".join(printed), "".join(printed)
        nodes = graphql(port, "{ assetNodes { assetKey { path } } }")["assetNodes"]
        assert {node["assetKey"]["path"][0] for node in nodes} == {
            "customers", "usage_events", "prices", "billing_periods",
            "usage_snapshots", "invoice_line_items", "invoices", "stripe_charges", "billing_drift",
            "stripe_events", "stripe_event_sweeps", "stripe_differences", "notices", "overdue_invoices",
            "dunning_steps",
        }  # fmt: skip
        emulator = re.search(r"http://127\.0\.0\.1:(\d+)/_emulator", "".join(printed))
        assert emulator is not None
        mailbox = re.search(r"Mailbox +http://127\.0\.0\.1:(\d+)", "".join(printed))
        assert mailbox is not None
        assert "None yet" in eventually_answered(int(mailbox[1]))
        make_customer(int(emulator[1]))
        assert eventually_stored(state) == ["customer.created"]
        with opened(state) as warehouse:
            logins = {row["usename"] for row in warehouse.rows("SELECT usename FROM pg_stat_activity")}
        assert {"billing_api_login", "billing_receiver_login"} <= logins
        children = descendants(process.pid)
        assert len(children) >= 3
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert [pid for pid in children if is_running(pid)] == []
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_a_taken_port_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path / "state"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["up", "--port", str(port)])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert f"port {port}" in result.stderr
    assert not (tmp_path / "state").exists()


def test_the_emulator_takes_the_next_port_that_is_free():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        assert port < up._free_port_from(port) < port + up.PORTS_TRIED


def test_a_child_that_ends_by_itself_is_named_and_the_others_are_ended(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path / "state"))
    settings = load_settings()
    # a child that ignores SIGTERM and has a child of its own
    stubborn = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True);"
        "time.sleep(600)"
    )
    monkeypatch.setattr(children_of_up, "STOP_WITHIN_S", 1.0)
    monkeypatch.setattr(children_of_up, "RESTARTS_MAX", 0)
    with children_of_up.running() as children:
        children.append(children_of_up.start("stubborn", ["-c", stubborn], dict(os.environ), settings))
        while not (printed := children[0].log.read_text()).endswith("\n"):
            time.sleep(0.05)
        failing = ["-c", "print('no such table'); raise SystemExit(3)"]
        children.append(children_of_up.start("failing", failing, dict(os.environ), settings))
        ended = children_of_up.keep_running(children, threading.Event(), settings)
    assert ended is children[1]
    children_of_up.explain(ended)
    said = capsys.readouterr().err
    assert "the failing ended with status 3" in said
    assert "no such table" in said
    assert not is_running(children[0].process.pid)
    assert not is_running(int(printed))
