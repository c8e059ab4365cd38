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
    }


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
    values = {"month": month.isoformat(), "last_month": month_before(month).isoformat(), **parameters}
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
