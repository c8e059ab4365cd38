"""A run in a process of its own: started once, under the id that was said, and shown by Dagster's own records."""

import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from billing_pipeline.core.signature import Signature
from billing_pipeline.defs.background_runs import start
from billing_pipeline.defs.run_records import runs_of_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.month_rows import OCTOBER, Event, add_customer, add_usage, at, complete_feed

ENDS_WITHIN_S = 240
ANN = Signature("ann", "all usage has come")


def ended(warehouse: Warehouse, run_id: str) -> bool:
    return bool(warehouse.scalar("SELECT ended_at IS NOT NULL FROM billing.started_runs WHERE run_id = :id", id=run_id))


def wait_for(warehouse: Warehouse, run_id: str) -> None:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while not ended(warehouse, run_id):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_month_and_then_a_customer_is_drafted_in_the_background_and_said_to_be(
    instance: dg.DagsterInstance, warehouse: Warehouse, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("one", "ann", "calls", 100, at("2025-10-15"))])
    complete_feed(warehouse, at("2025-12-01"))
    first = start(warehouse, OCTOBER, "bill_month", ANN)
    again = start(warehouse, OCTOBER, "bill_month", Signature("bob", "impatient"))
    assert (again.run_id, again.author, again.is_new) == (first.run_id, "ann", False)
    wait_for(warehouse, first.run_id)
    log = environment.parent / "state" / "runs" / f"{first.run_id}.log"
    assert warehouse.scalar("SELECT count(*) FROM billing.invoices WHERE status = 'draft'") == 1, log.read_text()
    [run] = runs_of_month(warehouse.dagster_url.render_as_string(hide_password=False), OCTOBER)
    assert (run.run_id, run.job, run.state, run.author) == (first.run_id, "bill_month", "success", "ann")
    assert {step.state for step in run.steps} == {"success"}
    assert "invoices" in {step.name for step in run.steps}
    assert instance.get_run_by_id(first.run_id) is not None

    add_usage(warehouse, [Event("two", "ann", "calls", 100, at("2025-10-16"), received_at=datetime.now(UTC))])
    alone = start(warehouse, OCTOBER, "bill_customer", ANN, "ann")
    wait_for(warehouse, alone.run_id)
    log = environment.parent / "state" / "runs" / f"{alone.run_id}.log"
    # 10.00, and 190 calls at 0.015
    assert warehouse.scalar("SELECT total_minor FROM billing.invoices WHERE status = 'draft'") == 1285, log.read_text()
    [run, _] = runs_of_month(warehouse.dagster_url.render_as_string(hide_password=False), OCTOBER)
    assert (run.run_id, run.job, run.state, run.author) == (alone.run_id, "bill_customer", "success", "ann")
