"""Whether the demo's invoices come out of the stored rows again."""

import time

from billing_pipeline.comparison.explain import explain_all, ledger_problems
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.month_checks import Check


def check_explained(warehouse: Warehouse) -> Check:
    """Whether every finalised invoice of every month comes out of the stored rows again, byte for byte."""
    problems = [f"ledger: {line}" for line in ledger_problems(warehouse)]
    count, started = 0, time.monotonic()
    for explained in explain_all(warehouse):
        count += 1
        problems += [f"{explained.invoice.number}: {problem}" for problem in explained.problems]
    statement = "every invoice comes out of the stored rows again, byte for byte"
    return Check(statement, f"{count:,} invoices in {time.monotonic() - started:.1f} s", tuple(problems))
