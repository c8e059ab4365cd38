"""Runs of a month: started once however often they are asked for, in processes of their own, and how they are doing."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.books.months import month_states, months_to_bill
from billing_pipeline.books.started_runs import Job, read_run
from billing_pipeline.core.months import require_billable
from billing_pipeline.defs.background_runs import start
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.gate import PREFIX
from billing_pipeline.web.api.models.running import BatchAsked, DraftsAsked, MonthAsked, Run, StartedRun
from billing_pipeline.web.api.parameters import first_day
from billing_pipeline.web.api.permission import Books, allowed, signed

router = APIRouter(tags=["runs"])
NOT_YET: dict[int | str, dict[str, object]] = {
    200: {"model": StartedRun, "description": "There is nothing to do."},
    202: {"model": StartedRun, "description": "It is under way."},
}


@router.post("/usage", status_code=202, summary="Measure a month", responses={202: {"model": StartedRun}})
def measure(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.CHANGE_MONTHS)], body: MonthAsked
) -> Response:
    """Take the snapshot of a month now: the quantities of its periods from all usage that has come."""
    return _start(request, warehouse, caller, first_day(body.month), "snapshot_month", body.reason)


@router.post("/process-monthly", status_code=202, summary="Draft a month", responses={202: {"model": StartedRun}})
def draft(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.CHANGE_MONTHS)], body: DraftsAsked
) -> Response:
    """Build the drafts of a month, or of one of its customers, from all usage that has come. Nothing becomes final."""
    job: Job = "bill_month" if body.customer is None else "bill_customer"
    return _start(request, warehouse, caller, first_day(body.month), job, body.reason, body.customer)


@router.post("/automated-billing", status_code=202, summary="Bill and charge a month", responses=NOT_YET)
def batch(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.CHANGE_STRIPE)], body: BatchAsked
) -> Response:
    """Draft a month that has ended, then charge it if its gates pass; brakes, holds and approvals hold as always."""
    now = datetime.now(UTC)
    states = {state.billing_month: state.state for state in month_states(warehouse, now)}
    if body.month is not None:
        month = first_day(body.month)
        require_billable(month, now.date())
    else:
        waiting = {each for each, state in states.items() if state not in ("done", "on_hold")}
        month = min({*waiting, *months_to_bill(warehouse, now)})
    if states.get(month) == "done":
        nothing = {"run_id": None, "billing_month": month, "is_new": False, "started_by": None, "url": None}
        return answer(request, nothing)
    return _start(request, warehouse, caller, month, "whole_month", body.reason)


@router.get("/runs/{run}", summary="Show a run", responses={200: {"model": Run}})
def show(
    request: Request,
    warehouse: Books,
    _: Annotated[Caller, allowed(Scope.READ_MONTHS)],
    run: Annotated[str, Path(max_length=64, description="Its id.", examples=["6f0d6c0a-7a3c-5f0e-9c53-0c8f1d8b1a11"])],
) -> Response:
    """How it is doing, by Dagster's own records."""
    found = read_run(warehouse, run)
    from billing_pipeline.defs.run_records import runs_of_month  # Dagster takes seconds, and few ask for it

    url = warehouse.dagster_url.render_as_string(hide_password=False)
    records = [asdict(record) for record in runs_of_month(url, found.billing_month)]
    return answer(
        request,
        {
            "run_id": found.run_id,
            "billing_month": found.billing_month,
            "job": found.job,
            "customer_id": found.customer_id,
            "started_by": found.author,
            "started_at": found.started_at,
            "ended_at": found.ended_at,
            "runs": records,
        },
    )


def _start(
    request: Request,
    warehouse: Warehouse,
    caller: Caller,
    month: date,
    job: Job,
    reason: str,
    customer: str | None = None,
) -> Response:
    run = start(warehouse, month, job, signed(caller, reason), customer)
    url = f"{PREFIX}/runs/{run.run_id}"
    shown = {"run_id": run.run_id, "billing_month": month, "is_new": run.is_new, "started_by": run.author, "url": url}
    return answer(request, shown, status=202, headers={"Location": url})
