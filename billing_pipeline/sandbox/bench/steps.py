"""The benchmark's steps, each run in a process of its own so that its memory is its own."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from billing_pipeline.postgres.engine import open_warehouse
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.bench import data
from billing_pipeline.settings import load_settings
from billing_pipeline.settings.postgres import PostgresSettings

RUN_ID = "bench"

PRICED = ("usage_snapshots", "invoice_line_items", "invoices")
"""What is compared with COPY, in the order in which it is built."""


@dataclass(frozen=True)
class Measured:
    """One build: rows of the asset's month, seconds, rows written or removed, and the process's peak memory."""

    rows: int
    seconds: float
    changed: int
    peak_rss_mib: int


@dataclass(frozen=True)
class Subject:
    """A database whose `month` is ready to be built, with history before it."""

    url: str
    warehouse: Warehouse
    month: date


def connect(url: str) -> Warehouse:
    """A database of the temporary server; nothing of the environment reaches it."""
    return open_warehouse(replace(load_settings(), postgres=PostgresSettings(url, None)))


def in_child(step: str, subject: Subject) -> Measured:
    """Run a step in a process of its own, so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(step, subject.url, subject.month, sender))
    process.start()
    sender.close()
    try:
        measured: Measured = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{step} of {subject.month:%Y-%m} failed; its traceback is above") from None
    except BaseException:
        process.terminate()  # or it would be waited for to its end
        raise
    finally:
        process.join()
    return measured


def _child(step: str, url: str, month: date, sender: Any) -> None:
    run = steps()[step]
    if step.endswith("_gates"):
        import great_expectations  # noqa: F401 - seconds that are no part of checking
    warehouse = connect(url)
    start = time.perf_counter()
    rows, changed = run(warehouse, month)
    seconds = time.perf_counter() - start
    sender.send(Measured(rows, seconds, changed, _peak_rss_mib()))
    warehouse.engine.dispose()


def steps() -> dict[str, Callable[[Warehouse, date], tuple[int, int]]]:
    """What a child can run. It returns the month's rows, and the rows changed (of gates: the failed ones)."""
    from billing_pipeline.gates.data_quality import gate_parameters, run_gates
    from billing_pipeline.gates.rules.gates import gates_of
    from billing_pipeline.invoicing import billing_periods, invoice_line_items, invoices
    from billing_pipeline.usage import usage_snapshots

    def periods(warehouse: Warehouse, month: date) -> tuple[int, int]:
        laid = billing_periods.build(warehouse, month, RUN_ID, data.long_after(month))
        return laid.row_count, laid.inserted + laid.deleted

    def build(module: Any) -> Callable[[Warehouse, date], tuple[int, int]]:
        def run(warehouse: Warehouse, month: date) -> tuple[int, int]:
            built = module.build(warehouse, month, RUN_ID)
            return built.row_count, built.inserted + built.deleted

        return run

    def gates(asset: str) -> Callable[[Warehouse, date], tuple[int, int]]:
        def run(warehouse: Warehouse, month: date) -> tuple[int, int]:
            cap = gate_parameters(load_settings())
            results = run_gates(warehouse, gates_of(asset), month, RUN_ID, cap)
            return len(results), sum(not result.passed for result in results)

        return run

    builds = {"usage_snapshots": usage_snapshots, "invoice_line_items": invoice_line_items, "invoices": invoices}
    return (
        {"billing_periods": periods}
        | {asset: build(module) for asset, module in builds.items()}
        | {f"{asset}_gates": gates(asset) for asset in PRICED}
    )


def _peak_rss_mib() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would also count the memory that the parent had when it forked
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) // 1024
    import resource
    import sys

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)
