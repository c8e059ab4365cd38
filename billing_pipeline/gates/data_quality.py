"""Gates on one month of one table, their results stored with the version of the rows that they saw.

What is expected stands in `rules/gates.py` and sql/gates/; Great Expectations looks (expectations.py).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from billing_pipeline.core.months import month_before
from billing_pipeline.gates.expectations import failing_rows
from billing_pipeline.gates.failing_rows import FailingRow, sample_of
from billing_pipeline.gates.rules.gate import Gate
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings
from billing_pipeline.settings.pricing import ROUNDING_MAX_PERCENT, SET_ASIDE_CUSTOMERS_FREE, SET_ASIDE_MAX_PERCENT


@dataclass(frozen=True)
class GateResult:
    """The result of one gate."""

    gate: Gate
    version: int
    failing_rows: int
    sample: list[FailingRow]

    @property
    def passed(self) -> bool:
        """No row failed."""
        return self.failing_rows == 0


def gate_parameters(settings: Settings) -> dict[str, int]:
    """Values for the braces in sql/gates."""
    return {
        "invoice_cap_minor": settings.charging.invoice_cap_minor,
        "price_factor_max": settings.pricing.price_factor_max,
        "set_aside_customers_max_percent": settings.pricing.set_aside_customers_max_percent,
        "set_aside_revenue_max_percent": settings.pricing.set_aside_revenue_max_percent,
        "set_aside_customers_free": settings.pricing.set_aside_customers_free,
        "rounding_max_percent": settings.pricing.rounding_max_percent,
    }


DEFAULTS = {
    "set_aside_customers_max_percent": SET_ASIDE_MAX_PERCENT,
    "set_aside_revenue_max_percent": SET_ASIDE_MAX_PERCENT,
    "set_aside_customers_free": SET_ASIDE_CUSTOMERS_FREE,
    "rounding_max_percent": ROUNDING_MAX_PERCENT,
}
"""Allowances that nobody set."""


def run_gates(
    warehouse: Warehouse,
    gates: Sequence[Gate],
    month: date,
    run_id: str,
    parameters: Mapping[str, int],
) -> list[GateResult]:
    """Validate one asset's gates on its rows of `month` and store the results.

    Args:
        warehouse: the database.
        gates: gates of one asset.
        month: the partition.
        run_id: stored with the results.
        parameters: values for the braces in sql/gates, such as `invoice_cap_minor`.
    """
    (asset,) = {gate.asset for gate in gates}
    # read before the rows are: if they change meanwhile, the result counts for the older version only
    version = warehouse.scalar(
        "SELECT version FROM billing.asset_months WHERE asset = :asset AND billing_month = :month",
        asset=asset,
        month=month,
    )
    values = {"month": month.isoformat(), "last_month": month_before(month).isoformat(), **DEFAULTS, **parameters}
    batch = f"SELECT * FROM billing.{asset} WHERE billing_month = '{month.isoformat()}'"
    failing = failing_rows(warehouse, batch, gates, values)
    results = []
    for gate in gates:
        sample = sample_of(warehouse, gate, batch, values) if failing[gate.name] else []
        results.append(GateResult(gate, int(version or 0), failing[gate.name], sample))
    _store(warehouse, results, month, run_id)
    return results


def _store(warehouse: Warehouse, results: Sequence[GateResult], month: date, run_id: str) -> None:
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                """
                INSERT INTO billing.gate_results
                (asset, billing_month, version, check_name, passed, blocking, failing_rows, evidence, run_id)
                VALUES (:asset, :month, :version, :name, :passed, :blocking, :failing_rows, :evidence, :run_id)
                """
            ),
            [
                {
                    "asset": result.gate.asset,
                    "month": month,
                    "version": result.version,
                    "name": result.gate.name,
                    "passed": result.passed,
                    "blocking": result.gate.blocking,
                    "failing_rows": result.failing_rows,
                    "evidence": json.dumps({"expected": result.gate.expectation, "sample": result.sample}),
                    "run_id": run_id,
                }
                for result in results
            ],
        )
