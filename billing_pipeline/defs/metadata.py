"""What operators see beside a materialisation: schemas from the table comments, small tables, totals."""

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import dagster as dg

from billing_pipeline.core.money import format_minor
from billing_pipeline.core.months import month_before
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def table_metadata(warehouse: Warehouse, table: str, row_count: int) -> dict[str, Any]:
    """Row count and column schema, the descriptions from COMMENT ON."""
    columns = [
        dg.TableColumn(
            row["name"],
            row["type"],
            row["description"],
            constraints=dg.TableColumnConstraints(nullable=not row["not_null"]),
        )
        for row in warehouse.rows(load_sql("postgres/columns.sql"), table=table)
    ]
    return {
        "dagster/row_count": row_count,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/table_name": f"billing.{table}",
    }


def column_lineage(sources: Mapping[str, Iterable[tuple[str, str]]]) -> dg.TableColumnLineage:
    """Lineage written as column -> (asset, column) pairs."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=name) for asset, name in deps]
            for column, deps in sources.items()
        }
    )


def markdown_table(rows: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    """Rows as a Markdown table; amounts in minor units are written out in their currency."""
    if not rows:
        return dg.MetadataValue.md("none")
    shown = [_written_out(row) for row in rows]
    head = "| " + " | ".join(shown[0]) + " |\n|" + " --- |" * len(shown[0])
    body = ["| " + " | ".join(_cell(value) for value in row.values()) + " |" for row in shown]
    return dg.MetadataValue.md("\n".join([head, *body]))


def _written_out(row: dict[str, Any]) -> dict[str, Any]:
    currency = row.get("currency")
    return {
        name.removesuffix("_minor"): format_minor(int(value), currency)
        if name.endswith("_minor") and currency
        else value
        for name, value in row.items()
        if name != "currency" or not any(other.endswith("_minor") for other in row)
    }


def _cell(value: object) -> str:
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def sample_table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Failing rows as a table in the UI."""
    records = [
        dg.TableRecord({name: value if value is not None else "" for name, value in row.items()}) for row in rows
    ]
    return dg.MetadataValue.table(
        records, schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in (rows[0] if rows else {})])
    )


def totals_by_currency(warehouse: Warehouse, table: str, amount: str, month: date) -> dict[str, str]:
    """Metadata `total_<currency>`: the month's sum without void invoices, written out."""
    rows = warehouse.rows(
        f"SELECT currency, sum({amount}) AS total_minor FROM billing.{table}"
        " WHERE billing_month = :month AND invoice_id NOT IN ("
        "SELECT v.invoice_id FROM billing.invoices AS v WHERE v.billing_month = :month AND v.status = 'void')"
        " GROUP BY currency ORDER BY currency",
        month=month,
    )
    return {f"total_{row['currency']}": format_minor(int(row["total_minor"]), row["currency"]) for row in rows}


def report(warehouse: Warehouse, path: str, month: date) -> list[dict[str, Any]]:
    """Rows of sql/<path>.sql for the month."""
    query = load_sql(f"{path}.sql")
    parameters: dict[str, date] = {"month": month}
    if ":last_month" in query:
        parameters["last_month"] = month_before(month)
    return warehouse.rows(query, **parameters)
