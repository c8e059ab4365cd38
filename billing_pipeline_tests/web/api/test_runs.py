"""A month is drafted and charged over HTTP: once however often it is asked for, and its state is at an address."""

from datetime import UTC, datetime
from typing import Any

import pytest

from billing_pipeline.books.months import ended_last
from billing_pipeline.books.started_runs import StartedRun, claim_run
from billing_pipeline.web.api.routes import runs
from billing_pipeline_tests.web.api.serving import Serving, serving


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[StartedRun]:
    """The runs that were claimed; none of them gets a process (billing_pipeline_tests/defs tries those)."""
    claimed: list[StartedRun] = []

    def start(*asked: Any) -> StartedRun:
        claimed.append(claim_run(*asked))
        return claimed[-1]

    monkeypatch.setattr(runs, "start", start)
    return claimed


def test_a_month_is_drafted_by_one_run_however_often_it_is_asked_for(api: Serving, started: list[StartedRun]) -> None:
    operator = api.as_("operator")
    asked = {"month": "2026-10", "reason": "all usage has come"}
    first, again = (operator.post("/process-monthly", asked, status=202) for _ in range(2))
    assert (first["is_new"], again["is_new"], again["run_id"]) == (True, False, first["run_id"])
    assert {(run.job, run.author) for run in started} == {("bill_month", "operator-owner")}
    assert first["url"] == f"/api/billing/runs/{first['run_id']}"
    operator.post("/process-monthly", {"month": "2026-13"}, status=422)
    one = operator.post("/process-monthly", {**asked, "customer": "ann"}, status=422)
    assert "for all its customers at once; GET /usage" in one["detail"]
    measured = operator.post("/usage", asked, status=202)
    assert (measured["is_new"], started[-1].job) == (True, "snapshot_month")
    operator.get("/runs/none", status=404)


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
