"""A server that fails in the middle of a command, and a command that is told to end: one line, nothing half-done."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.commands import refused, said
from billing_pipeline_tests.databases import closing_what_commands_open

OUTAGES = {
    "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'": "No space left",
    "RAISE EXCEPTION 'cannot execute INSERT in a read-only transaction' USING ERRCODE = '25006'": "read-only",
    "PERFORM pg_terminate_backend(pg_backend_pid())": "terminating connection",
    "PERFORM pg_cancel_backend(pg_backend_pid())": "canceling statement",
    "RAISE EXCEPTION 'the rule of a table' USING ERRCODE = '23001'": "the rule of a table",
}
CUSTOMERS = "customer_id,name,email,currency,timezone\n{0},{0},{0}@example.com,usd,UTC\n"
USAGE = "event_id,customer_id,meter,quantity,occurred_at\n{0},ann,calls,1,2026-09-03T00:00:00Z\n"
DONE = (
    "SELECT (SELECT count(*) FROM billing.customers) AS customers, (SELECT count(*) FROM billing.usage_events) AS events,"
    " (SELECT count(*) FROM billing.usage_imports) AS imports, (SELECT count(*) FROM billing.automation_log) AS log"
)


@pytest.fixture
def database(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """What the commands work on."""
    monkeypatch.setenv("BILLING_DATABASE_URL", warehouse.engine.url.render_as_string(hide_password=False))
    with closing_what_commands_open(monkeypatch):
        yield warehouse


def _after_each_insert(warehouse: Warehouse, table: str, statement: str) -> None:
    with warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(
            text(
                "CREATE OR REPLACE FUNCTION billing.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
                f" $$ BEGIN {statement}; RETURN NULL; END $$"
            )
        )
        connection.execute(
            text(f"CREATE OR REPLACE TRIGGER fail AFTER INSERT ON billing.{table} EXECUTE FUNCTION billing.fail()")
        )


def test_a_server_that_fails_in_the_middle_is_one_line_and_nothing_is_half_done(database, tmp_path):
    customers, usage = tmp_path / "customers.csv", tmp_path / "usage.csv"
    customers.write_text(CUSTOMERS.format("ann"), encoding="utf-8")
    said("import", "customers", str(customers))
    customers.write_text(CUSTOMERS.format("bob"), encoding="utf-8")
    usage.write_text(USAGE.format("1"), encoding="utf-8")
    before = database.rows(DONE)
    for statement, expected in OUTAGES.items():
        for table, file in (("customers", customers), ("usage_events", usage)):
            _after_each_insert(database, table, statement)
            assert expected in refused("import", table.partition("_")[0], str(file)), statement
    assert database.rows(DONE) == before
    for table in ("customers", "usage_events"):
        _after_each_insert(database, table, "NULL")
    assert said("import", "customers", str(customers)).startswith("1 customers: 1 new")


def test_an_argument_that_is_no_utf8_is_one_line():
    assert 'argument "a\\udcff": expected UTF-8' in refused("customers", "show", "a\udcff", exit_code=2)


FAILS_WHILE_IT_ENDS = """
import logging
import signal
from billing_pipeline.cli.as_process import orderly
with orderly():
    try:
        signal.raise_signal(signal.SIGTERM)
    except SystemExit:
        logging.getLogger("sqlalchemy.pool.impl.QueuePool").error("Exception during reset or similar")
        raise OSError("another command is already in progress")
"""


def test_what_fails_while_a_command_ends_does_not_hide_that_it_was_told_to_end():
    ended = subprocess.run([sys.executable, "-c", FAILS_WHILE_IT_ENDS], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGTERM, b"")


def _processes_of(folder: Path) -> list[int]:
    """Whoever names the folder on its command line or in its environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(folder) in word for word in words):
                found.append(process.pid)
    return found


@pytest.mark.parametrize("command", ["demo", "bench"])
def test_what_a_command_started_ends_with_it_and_its_files_are_its_owners_alone(tmp_path, command):
    outside = ("BILLING_", "DAGSTER_", "STRIPE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    state, temporary = tmp_path / "state", tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "billing_pipeline.cli", command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "BILLING_STATE_DIR": str(state), "TMPDIR": str(temporary)},
    )
    try:
        until = time.monotonic() + 60
        while not list(tmp_path.rglob("postmaster.pid")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        time.sleep(3)  # it is at work
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "Traceback" not in output
    for _ in range(50):
        if not _processes_of(tmp_path):
            break
        time.sleep(0.1)
    assert _processes_of(tmp_path) == []
    assert list(temporary.glob("billing-*")) == []
    files = [path for path in state.rglob("*") if path.is_file()]
    assert [path for path in files if path.stat().st_mode & 0o077] == []
    assert bool(files) is (command == "demo")
