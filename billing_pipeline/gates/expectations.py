"""Great Expectations: a suite of expectations on one month of one table.

The import of great_expectations takes seconds, so it happens at the first check and never when the code location loads.
"""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from billing_pipeline.gates.failing_rows import gate_query
from billing_pipeline.gates.rules.gate import Gate, NoRows, NotNegative, NotNull, Unique
from billing_pipeline.postgres.warehouse import Warehouse


class GateBrokenError(RuntimeError):
    """A check could not be evaluated; the text names it and the database's error."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what Great Expectations prints: advice on queries that look beyond the batch, as some of ours must.

    And without its warnings, which are about its own imports and about sockets, which its class for Postgres refuses.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def failing_rows(
    warehouse: Warehouse, batch: str, gates: Sequence[Gate], values: Mapping[str, object]
) -> dict[str, int]:
    """How many rows of the batch, a query, fail each gate, by its name.

    Raises:
        GateBrokenError: a gate could not be evaluated.
    """
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
            query = gate_query(gate, values).replace("{batch}", f"({batch}) AS batch")
            return [gxe.UnexpectedRowsExpectation(unexpected_rows_query=query, meta=meta)]
