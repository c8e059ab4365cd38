"""The gates of a month as partitioned asset checks, which stop the run as the gate says."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from billing_pipeline.defs.metadata import sample_table
from billing_pipeline.defs.partitions import MONTHS, month_of
from billing_pipeline.defs.remedies import described, what_to_do
from billing_pipeline.defs.resources import Billing
from billing_pipeline.gates.data_quality import GateResult, gate_parameters, run_gates
from billing_pipeline.gates.rules.gates import gates_of


def gate_checks(asset: str) -> dg.AssetChecksDefinition:
    """One step that runs all the gates of an asset and yields a result a gate."""
    specs = [
        dg.AssetCheckSpec(
            gate.name,
            asset=asset,
            description=described(gate.name, gate.expectation, gate.remedy),
            blocking=gate.blocking,
            partitions_def=MONTHS,
        )
        for gate in gates_of(asset)
    ]

    @dg.multi_asset_check(name=f"{asset}_gates", specs=specs, compute_kind="great expectations")
    def checks(context: dg.AssetCheckExecutionContext, billing: Billing) -> Iterator[dg.AssetCheckResult]:
        month = month_of(context)
        parameters = gate_parameters(billing.settings)
        for result in run_gates(billing.warehouse, gates_of(asset), month, context.run.run_id, parameters):
            if not result.passed:
                context.log.warning(describe(result))
            yield dg.AssetCheckResult(
                asset_key=asset,
                check_name=result.gate.name,
                passed=result.passed,
                severity=_severity(result),
                description=None if result.passed else describe(result),
                metadata=_metadata(result, month),
            )

    return checks


def evaluation_of(result: GateResult, month: date, partition: str) -> dg.AssetCheckEvaluation:
    """The same from an op, which builds rows of the asset without materializing it."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(result.gate.asset),
        check_name=result.gate.name,
        passed=result.passed,
        severity=_severity(result),
        description=None if result.passed else describe(result),
        metadata=_metadata(result, month),
        blocking=result.gate.blocking,
        partition=partition,
    )


def _severity(result: GateResult) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if result.gate.blocking else dg.AssetCheckSeverity.WARN


def _metadata(result: GateResult, month: date) -> dict[str, Any]:
    return {
        "expected": result.gate.expectation,
        "failing_rows": result.failing_rows,
        "rows_version": result.version,
        **({} if result.passed else what_to_do(result.gate.name, month, result.gate.remedy)),
        **({"sample": sample_table(result.sample)} if result.sample else {}),
    }


def describe(result: GateResult) -> str:
    """One line: the gate, how many rows failed, and the first of them."""
    first = ", ".join(f"{name}={value}" for name, value in result.sample[0].items()) if result.sample else ""
    return (
        f"{result.gate.asset}.{result.gate.name}: {result.failing_rows} row(s) fail."
        f" Expected: {result.gate.expectation} For example: {first}"
    )
