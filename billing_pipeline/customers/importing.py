"""Customers from a file into billing.customers: inserted, updated or left alone, all or nothing.

Here: the comparison with the stored customers. Not here: formats and cells (imports/files.py and
imports/rules/fields.py).
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from billing_pipeline.customers.rules.fields import CUSTOMER_FIELDS, DATE
from billing_pipeline.imports.files import BATCH_ROWS, ImportFile
from billing_pipeline.imports.problems import PROBLEMS_SHOWN
from billing_pipeline.postgres.arrow_copy import copy_arrow_in
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

_STAGE = """
CREATE TEMP TABLE staged_customers (
    line bigint NOT NULL, customer_id text NOT NULL, name text NOT NULL, email text NOT NULL,
    currency text NOT NULL, timezone text NOT NULL, billing_cycle text NOT NULL,
    cycle_anchor date, stripe_customer_id text
) ON COMMIT DROP
"""


_INSERT = """
INSERT INTO billing.customers
(customer_id, name, email, currency, timezone, billing_cycle, cycle_anchor, stripe_customer_id)
SELECT customer_id, name, email, currency, timezone, billing_cycle, cycle_anchor, stripe_customer_id
FROM pg_temp.staged_customers AS s
WHERE NOT EXISTS (SELECT FROM billing.customers AS c WHERE c.customer_id = s.customer_id)
"""


@dataclass(frozen=True)
class CustomerImport:
    """What an import of customers did: `rows` = `inserted` + `updated` + `unchanged`."""

    rows: int
    inserted: int
    updated: int
    unchanged: int


def import_customers(
    warehouse: Warehouse, path: Path, *, actor: str = "billing import customers", batch_rows: int = BATCH_ROWS
) -> CustomerImport:
    """Insert the file's new customers and bring the known ones up to date; customers not in the file stay.

    A change of a known customer is written to the audit log. `status` is not the file's business.

    Args:
        warehouse: the billing database.
        path: a .csv, .jsonl, .ndjson (each also .gz) or .parquet file.
        actor: who imports, for the audit log.
        batch_rows: rows held in memory at a time.

    Raises:
        ImportRefused: nothing was loaded; its text says which rows are why.
    """
    file = ImportFile(path, CUSTOMER_FIELDS, batch_rows)
    with warehouse.transaction() as connection:
        connection.execute(text(_STAGE))
        columns = ["line", *(field.name for field in CUSTOMER_FIELDS)]
        copy_arrow_in(connection, "pg_temp.staged_customers", columns, map(_blanks_as_nulls, file.tables()))
        connection.execute(text("ANALYZE pg_temp.staged_customers"))
        # Nobody else writes customers between the comparison and the writing: a charge may just store a Stripe id.
        connection.execute(text("LOCK TABLE billing.customers IN SHARE ROW EXCLUSIVE MODE"))
        _add_problems(connection, file)
        file.problems.raise_if_any()
        changes = {"actor": actor, "reason": f"import of {file.name}"}
        updated = connection.execute(text(load_sql("customers/import_update.sql")), changes).rowcount
        inserted = connection.execute(text(_INSERT)).rowcount
    return CustomerImport(file.row_count, inserted, updated, file.row_count - inserted - updated)


def _blanks_as_nulls(table: pa.Table) -> pa.Table:
    for name in ("cycle_anchor", "stripe_customer_id"):
        column = table[name]
        nulled = pc.if_else(pc.equal(column, pa.scalar("")), pa.scalar(None, pa.string()), column)
        table = table.set_column(table.schema.get_field_index(name), name, nulled)
    return table


def _add_problems(connection: Connection, file: ImportFile) -> None:
    parameters = {"shown": PROBLEMS_SHOWN, "date_format": DATE}
    found = connection.execute(text(load_sql("customers/import_problems.sql")), parameters).mappings().all()
    for row in found:
        file.problems.add(row["line"], row["field"], row["value"], row["expected"])
    if found:
        file.problems.count_more(found[0]["total"] - len(found))
