"""A month is drafted and charged over HTTP: once however often it is asked for, and its state is at an address."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.books.months import ended_last
from billing_pipeline.books.started_runs import StartedRun, claim_run, runs_under_way
from billing_pipeline.defs import background_runs
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.api.routes import runs
from billing_pipeline_tests.month_rows import OCTOBER, add_customer, bill, finalise_customer, load_book
from billing_pipeline_tests.web.api.serving import Serving, serving
from billing_pipeline_tests.web.no_process import NoProcess


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[StartedRun]:
    """The runs that were claimed; none of them gets a process (billing_pipeline_tests/defs tries those)."""
    claimed: list[StartedRun] = []

    def start(*asked: Any) -> StartedRun:
        claimed.append(claim_run(*asked))
        return claimed[-1]

    monkeypatch.setattr(runs, "start", start)
    return claimed


@pytest.fixture
def drafted(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """October of two customers is drafted; runs are claimed and get no process."""
    monkeypatch.setattr(background_runs, "require_dagster_storage", lambda _: None)
    monkeypatch.setattr("billing_pipeline.defs.background_runs.subprocess.Popen", NoProcess)
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    load_book(warehouse)
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
    bill(warehouse, OCTOBER)
    return warehouse


def test_a_month_is_drafted_by_one_run_however_often_it_is_asked_for(api: Serving, started: list[StartedRun]) -> None:
    operator = api.as_("operator")
    asked = {"month": "2026-10", "reason": "all usage has come"}
    first, again = (operator.post("/process-monthly", asked, status=202) for _ in range(2))
    assert (first["is_new"], again["is_new"], again["run_id"]) == (True, False, first["run_id"])
    assert {(run.job, run.author) for run in started} == {("bill_month", "operator-owner")}
    assert first["url"] == f"/api/billing/runs/{first['run_id']}"
    operator.post("/process-monthly", {"month": "2026-13"}, status=422)
    measured = operator.post("/usage", asked, status=202)
    assert (measured["is_new"], started[-1].job) == (True, "snapshot_month")
    operator.get("/runs/none", status=404)


def test_one_customer_of_a_month_is_drafted_by_one_run_however_often_it_is_asked_for(drafted: Warehouse) -> None:
    asked = {"month": "2025-10", "customer": "ann", "reason": "usage came late"}
    with serving(drafted) as api:
        operator = api.as_("operator")
        first, again = (operator.post("/process-monthly", asked, status=202) for _ in range(2))
        assert (first["is_new"], again["is_new"], again["run_id"]) == (True, False, first["run_id"])
        assert operator.post("/process-monthly", {**asked, "customer": "bob"}, status=202)["is_new"]
        claimed = [(run.job, run.customer_id, run.author) for run in runs_under_way(drafted, OCTOBER)]
        assert claimed == [("bill_customer", "ann", "operator-owner"), ("bill_customer", "bob", "operator-owner")]
        assert operator.post("/process-monthly", {"month": "2025-10"}, status=202)["is_new"]


def test_a_customer_that_cannot_be_drafted_alone_is_refused_with_the_reason(drafted: Warehouse) -> None:
    finalise_customer(drafted, "bob", OCTOBER)
    asked = {"month": "2025-10", "reason": "usage came late"}
    with serving(drafted) as api:
        operator = api.as_("operator")
        final = operator.post("/process-monthly", {**asked, "customer": "bob"}, status=409)
        assert "INV-00000001 of 2025-10 is final" in final["detail"]
        never = operator.post("/process-monthly", {**asked, "month": "2025-11", "customer": "ann"}, status=409)
        assert "2025-11 has not been drafted" in never["detail"]
        operator.post("/process-monthly", {**asked, "customer": "nobody"}, status=404)
        operator.post("/process-monthly", {**asked, "customer": ""}, status=422)
        operator.post("/process-monthly", asked, status=202)
        beside = operator.post("/process-monthly", {**asked, "customer": "ann"}, status=409)
        assert "a run of all its customers is under way, bill_month, started by operator-owner" in beside["detail"]
    assert [run.job for run in runs_under_way(drafted, OCTOBER)] == ["bill_month"]


def test_the_batch_of_a_month_begins_once_and_not_again_when_it_is_done(warehouse, started: list[StartedRun]) -> None:
    with serving(warehouse) as api:
        operator = api.as_("operator")
        due = operator.post("/automated-billing", {}, status=202)
        assert due["month"] == f"{ended_last(datetime.now(UTC)):%Y-%m}"
        first = operator.post("/automated-billing", {"month": "2025-10"}, status=202)
        assert operator.post("/automated-billing", {"month": "2025-10"}, status=202)["run_id"] == first["run_id"]
        assert {run.job for run in started} == {"whole_month"}
        later = operator.post("/automated-billing", {"month": "2199-01"}, status=409)
        assert "2199-01" in later["detail"]
