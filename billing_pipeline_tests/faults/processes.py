"""Charging runs in processes of their own, which may kill themselves.

They are forked from a server that has everything imported already: a killed run costs a fraction of a second, and it is
the real code over a real connection all the same.
"""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY, MONTH, NO_EXPECTATION
from billing_pipeline_tests.faults.boundaries import Trap

KILLED = -9
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Job:
    """One run: where, and at which numbered boundary it dies (None: it does not)."""

    database: str
    stripe_base: str
    run_id: str
    boundary: int | None = None
    hit: int = 1
    seed: int = 0
    workers: int = 2
    dagster_url: str | None = None
    home: str | None = None
    month: date = MONTH


@dataclass(frozen=True)
class Ended:
    """How a run's process ended: its exit code, and what it said about its work."""

    code: int
    said: dict[str, Any]

    @property
    def killed(self) -> bool:
        return self.code == KILLED


def context(*also: str, dagster: bool = False) -> ForkServerContext:
    """Processes are forked from a server with what a run imports; `dagster`: with the whole code location."""
    found = multiprocessing.get_context("forkserver")
    preload = [__name__, "pytest", *also]  # under pytest its main module is imported again in each process
    if dagster:
        preload += ["billing_pipeline.definitions", "billing_pipeline_tests.faults.dagster_run"]
    found.set_forkserver_preload(preload)
    return found


def run_together(
    jobs: Sequence[Any], processes: ForkServerContext, main: Callable[[Any, Any, Any], None] | None = None
) -> list[Ended]:
    """Start the runs at the same moment and wait for all of them; `main` gets a job, a barrier and a pipe."""
    barrier = processes.Barrier(len(jobs))
    running = []
    for job in jobs:
        ours, theirs = processes.Pipe(duplex=False)
        process = processes.Process(target=main or _main, args=(job, barrier, theirs), daemon=True)
        process.start()
        theirs.close()
        running.append((process, ours))
    ended = []
    for process, ours in running:
        process.join(PATIENCE_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            ended.append(Ended(1, {"error": f"a run did not end in {PATIENCE_S:.0f} s"}))
            continue
        try:
            said = ours.recv() if ours.poll() else {}
        except (EOFError, OSError):
            said = {}
        ours.close()
        ended.append(Ended(process.exitcode, said))
    return ended


def _main(job: Job, barrier: Any, answers: Any) -> None:
    engine = open_engine(make_url(job.database), 40)
    trap = Trap(job.boundary, job.hit, job.seed)
    trap.watch(engine)
    api = trap.around(StripeGateway(KEY, job.stripe_base, timeout_s=(5, 20)))
    try:
        barrier.wait(PATIENCE_S)
        if job.dagster_url is None:
            answers.send(_charge(job, Warehouse(engine, make_url(job.database)), api))
        else:
            from billing_pipeline_tests.faults.dagster_run import charge_by_job

            assert job.home is not None
            warehouse = Warehouse(engine, make_url(job.dagster_url))
            answers.send(charge_by_job(Path(job.home), job.dagster_url, job.database, warehouse, api))
    except BaseException:  # noqa: BLE001 - whatever it is, it is the answer
        answers.send({"error": traceback.format_exc(limit=-4)})
        answers.close()
        os._exit(1)
    os._exit(0)


def _charge(job: Job, warehouse: Warehouse, api: Any) -> dict[str, Any]:
    finalised = finalise_month(warehouse, job.month, job.run_id)
    options = RunOptions(workers=job.workers, limits=NO_EXPECTATION)
    report = charge_invoices_of_month(warehouse, api, job.month, job.run_id, options)
    return {
        "finalised": finalised.count,
        "worked_on": report.worked_on,
        "in_other_hands": report.in_other_hands,
        "pending": dict(report.pending),
    }
