"""Great Expectations: a suite on one month of one table, its results stored with the version of the rows it saw.

What is expected stands in `rules/gates.py` and sql/gates/. The import of great_expectations takes seconds, so it
happens at the first check and never when the code location loads.
"""

import contextlib
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from billing_pipeline.core.months import month_before
from billing_pipeline.gates.rules.gate import Gate, NoRows, NotNegative, NotNull, Unique
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

FailingRow = dict[str, str | int | None]
"""A failing row by column; each check has columns of its own."""
SAMPLE_ROWS = 20
"""Failing rows that are shown to the operator."""


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
    failing = _validate(warehouse, batch, gates, values)
    results = []
    for gate in gates:
        sample = _sample(warehouse, gate, batch, values) if failing[gate.name] else []
        results.append(GateResult(gate, int(version or 0), failing[gate.name], sample))
    _store(warehouse, results, month, run_id)
    return results


def _query(gate: Gate, values: Mapping[str, object]) -> str:
    """The gate's statement with every brace filled but {batch}."""
    query = load_sql(f"gates/{gate.name}.sql")
    for name, value in values.items():
        query = query.replace("{" + name + "}", str(value))
    return query


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what Great Expectations prints: advice on queries that look beyond the batch, as some of ours must.

    And without its warnings, which are about its own imports and about sockets, which its class for Postgres refuses.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _validate(warehouse: Warehouse, batch: str, gates: Sequence[Gate], values: Mapping[str, object]) -> dict[str, int]:
    """Failing rows by gate."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with _quiet():
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        url = warehouse.engine.url.render_as_string(hide_password=False)
        source = context.data_sources.add_sql("warehouse", connection_string=url, create_temp_table=False)
        definition = source.add_query_asset("month", batch).add_batch_definition_whole_table("month")
        expectations = [expectation for gate in gates for expectation in _expectations(gate, values, batch)]
        suite = context.suites.add(gx.ExpectationSuite("gates", expectations=expectations))
        try:
            outcome = definition.get_batch().validate(suite, result_format={"result_format": "BASIC"})
        finally:
            # Great Expectations opens two connection pools and closes neither
            source.get_execution_engine().close()
            source.get_engine().dispose()
    failing = {gate.name: 0 for gate in gates}
    for result in outcome.results:
        name = result.expectation_config.meta["gate"]
        if result.success:
            continue
        detail = result.result
        count = detail.get("unexpected_count", detail.get("observed_value"))
        if not count:  # the check itself failed to run: that is not passed, and the operator must see why
            raise GateBrokenError(f"check {name} did not run: {_first_line(result.exception_info)}")
        failing[name] += int(count)
    return failing


class GateBrokenError(RuntimeError):
    """A check could not be evaluated; the text names it and the database's error."""


def _first_line(exception_info: Any) -> str:
    infos = exception_info.values() if isinstance(exception_info, dict) else [exception_info]
    messages = [str(info.get("exception_message")) for info in infos if isinstance(info, dict)]
    return (messages or [str(exception_info)])[0].splitlines()[0]


def _expectations(gate: Gate, values: Mapping[str, object], batch: str) -> list[Any]:
    from great_expectations import expectations as gxe

    meta = {"gate": gate.name}
    match gate.rule:
        case Unique(columns):
            return [gxe.ExpectCompoundColumnsToBeUnique(column_list=list(columns), meta=meta)]
        case NotNull(columns):
            return [gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta) for column in columns]
        case NotNegative(columns):
            return [gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0, meta=meta) for column in columns]
        case NoRows():
            # filled here: what Great Expectations puts for {batch} has no alias, which PostgreSQL 15 wants
            query = _query(gate, values).replace("{batch}", f"({batch}) AS batch")
            return [gxe.UnexpectedRowsExpectation(unexpected_rows_query=query, meta=meta)]


def _sample(warehouse: Warehouse, gate: Gate, batch: str, values: Mapping[str, object]) -> list[FailingRow]:
    match gate.rule:
        case Unique(columns):
            names = ", ".join(columns)
            query = f"SELECT {names}, count(*) AS row_count FROM {{batch}} GROUP BY {names} HAVING count(*) > 1"
        case NotNull(columns):
            query = "SELECT * FROM {batch} WHERE " + " OR ".join(f"{column} IS NULL" for column in columns)
        case NotNegative(columns):
            query = "SELECT * FROM {batch} WHERE " + " OR ".join(f"{column} < 0" for column in columns)
        case NoRows():
            query = _query(gate, values)
    query = query.replace("{batch}", f"({batch}) AS batch").replace("{{", "{").replace("}}", "}")
    with warehouse.engine.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT * FROM ({query}) AS failing LIMIT {SAMPLE_ROWS}").mappings()
        return [{name: _plain(value) for name, value in row.items()} for row in found]


def _plain(value: object) -> str | int | None:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, Decimal):
        whole, _, fraction = format(value, "f").partition(".")
        return f"{whole}.{fraction}".rstrip("0").rstrip(".") if fraction else whole
    return value if value is None or isinstance(value, int) else str(value)


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
