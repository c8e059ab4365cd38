"""The oldest PostgreSQL that is supported, where one is installed: a month is imported, gated and charged on it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline_tests.commands import run_apart

BIN = Path(os.environ.get("BILLING_TEST_POSTGRES_15", "/usr/lib/postgresql/15/bin"))
USER = "nobody"  # PostgreSQL refuses to run as root

pytestmark = pytest.mark.skipif(not (BIN / "initdb").exists(), reason="PostgreSQL 15 is not installed")


def _run(*command: str | Path) -> None:
    who: dict[str, Any] = {"user": USER} if os.geteuid() == 0 else {}
    subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60, **who)


@pytest.fixture
def database_url() -> Iterator[str]:
    """A server of its own with an empty database `billing` and none for Dagster."""
    folder = Path(tempfile.mkdtemp(prefix="billing-pg15-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    _run(BIN / "initdb", "--auth=trust", "--username=bill", "--encoding=utf8", "--no-sync", "--pgdata", data)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    _run(BIN / "pg_ctl", "-w", "-D", data, "-o", options, "-l", folder / "log", "start")
    try:
        _run(BIN / "createdb", "--host=127.0.0.1", f"--port={port}", "--username=bill", "billing")
        yield f"postgresql://bill@127.0.0.1:{port}/billing"
    finally:
        _run(BIN / "pg_ctl", "-w", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _billing(url: str, state: Path, *arguments: str, status: int = 0) -> str:
    done = run_apart(state, *arguments, BILLING_DATABASE_URL=url)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_a_month_is_billed_and_charged_on_postgresql_15(database_url, tmp_path):
    customers, usage = tmp_path / "customers.csv", tmp_path / "usage.csv"
    customers.write_text(
        "customer_id,name,email,currency,timezone,billing_cycle,cycle_anchor,stripe_customer_id\n"
        "0042,Basic,basic@example.com,usd,UTC,,,\n",
        encoding="utf-8",
    )
    usage.write_text(
        "event_id,customer_id,meter,dimensions,quantity,occurred_at\n"
        'a,0042,licenses,"{""tier"": ""basic""}",2,2026-09-03T00:00:00Z\n'
        'b,0042,clusters,"{""size"": ""small"", ""environment"": ""development""}",1,2026-09-03T00:00:00Z\n',
        encoding="utf-8",
    )
    assert "the database is up to date" in _billing(database_url, tmp_path, "migrate")
    _billing(database_url, tmp_path, "import", "customers", str(customers))
    _billing(database_url, tmp_path, "import", "usage", str(usage), "--complete-through", "2026-10-01T00:00:00Z")
    report = _billing(database_url, tmp_path, "run", "--month", "2026-09", "--charge-old-month", status=3)
    assert "bill_month: passed" in report
    assert "charge_month: passed" in report
    invoices = "SELECT number, total_minor, status FROM billing.invoices"
    shown = _billing(database_url, tmp_path, "sql", "--csv", "-c", invoices)
    assert shown.splitlines()[-1] == "INV-00000001,4000,open", "no card: it stays open with its reason"
