"""The rows that fail a gate: the gate's statement, and a sample of its rows for the operator."""

import json
from collections.abc import Mapping
from decimal import Decimal

from billing_pipeline.gates.rules.gate import Gate, NoRows, NotNegative, NotNull, Unique
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

FailingRow = dict[str, str | int | None]
"""A failing row by column; each check has columns of its own."""
SAMPLE_ROWS = 20
"""Failing rows that are shown to the operator."""


def gate_query(gate: Gate, values: Mapping[str, object]) -> str:
    """The gate's statement with every brace filled but {batch}."""
    query = load_sql(f"gates/{gate.name}.sql")
    for name, value in values.items():
        query = query.replace("{" + name + "}", str(value))
    return query


def sample_of(warehouse: Warehouse, gate: Gate, batch: str, values: Mapping[str, object]) -> list[FailingRow]:
    """The first failing rows of the batch, a query, as text and whole numbers."""
    match gate.rule:
        case Unique(columns):
            names = ", ".join(columns)
            query = f"SELECT {names}, count(*) AS row_count FROM {{batch}} GROUP BY {names} HAVING count(*) > 1"
        case NotNull(columns):
            query = "SELECT * FROM {batch} WHERE " + " OR ".join(f"{column} IS NULL" for column in columns)
        case NotNegative(columns):
            query = "SELECT * FROM {batch} WHERE " + " OR ".join(f"{column} < 0" for column in columns)
        case NoRows():
            query = gate_query(gate, values)
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
