"""Customers from a file into billing.customers: inserted, updated or left alone, all or nothing.

Here: the comparison with the stored customers. Not here: formats and cells (imports/files.py and
imports/rules/fields.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from billing_pipeline.core.signature import Signature
from billing_pipeline.customers import contracts
from billing_pipeline.customers.rules import contract_terms as rules
from billing_pipeline.customers.rules.fields import CONTRACT_FIELDS, CUSTOMER_FIELDS, DATE, KEPT_FIELDS
from billing_pipeline.imports.files import BATCH_ROWS, ImportFile
from billing_pipeline.imports.problems import PROBLEMS_SHOWN, ProblemList
from billing_pipeline.postgres.arrow_copy import copy_arrow_in
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

_TYPES = {
    "cycle_anchor": "date",
    "starts_on": "date",
    "ends_on": "date",
    "trial_until": "date",
    "payment_terms_days": "integer",
}
_STAGE = f"""
CREATE TEMP TABLE staged_customers (
    line bigint NOT NULL, {", ".join(f"{field.name} {_TYPES.get(field.name, 'text')}" for field in CUSTOMER_FIELDS)}
) ON COMMIT DROP
"""
_ANCHOR = """
UPDATE pg_temp.staged_customers SET cycle_anchor = starts_on
WHERE cycle_anchor IS NULL AND billing_cycle <> 'calendar_month'
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

    A change of a known customer is written to the audit log; blank optional columns keep what is stored, a new plan
    holds from today on, or from the start that comes with it. `status` is not the file's business.

    Args:
        warehouse: the billing database.
        path: a .csv, .jsonl, .ndjson (each also .gz) or .parquet file.
        actor: who imports, for the audit log.
        batch_rows: rows held in memory at a time.

    Raises:
        ImportRefused: nothing was loaded; its text says which rows are why.
    """
    file = ImportFile(path, CUSTOMER_FIELDS, batch_rows)
    signature = Signature(actor, f"import of {file.name}")
    with warehouse.transaction() as connection:
        stage(connection, file.tables())
        inserted, updated = write_staged(connection, file.problems, signature)
    return CustomerImport(file.row_count, inserted, updated, file.row_count - inserted - updated)


def stage(connection: Connection, tables: Iterable[pa.Table]) -> None:
    """Put customers, checked field by field, into a temporary table. From here on nobody else writes customers.

    A charge may just store a Stripe id, between the comparison and the writing.
    """
    connection.execute(text(_STAGE))
    columns = ["line", *(field.name for field in CUSTOMER_FIELDS)]
    copy_arrow_in(connection, "pg_temp.staged_customers", columns, map(_blanks_as_nulls, tables))
    connection.execute(text(_ANCHOR))
    connection.execute(text("ANALYZE pg_temp.staged_customers"))
    lock_customers(connection)


def lock_customers(connection: Connection) -> None:
    """Let nobody else write customers until the end of the transaction."""
    connection.execute(text("SELECT billing.lock_customers()"))


def write_staged(connection: Connection, problems: ProblemList, signature: Signature) -> tuple[int, int]:
    """Insert the staged customers that are new, update the others; returns how many of each.

    Raises:
        ImportRefused: there was a problem already, or they do not fit each other or those that are stored.
    """
    _add_problems(connection, problems)
    problems.raise_if_any()
    changes = {"actor": signature.author, "reason": signature.reason}
    changed = connection.execute(text(load_sql("customers/import_update.sql")), changes).scalars().all()
    recontracted = _change_contracts(connection, signature)
    inserted: int = connection.execute(text(load_sql("customers/import_insert.sql")), changes).scalar_one()
    return inserted, len({*changed, *recontracted})


def _change_contracts(connection: Connection, signature: Signature) -> list[str]:
    """Make the contracts of known customers say what the file says; returns whose changed."""
    rows = connection.execute(text(load_sql("customers/import_contracts.sql"))).all()
    for row in rows:
        starts_on, ends_on, plan, trial = row.starts_on, row.ends_on, row.plan, row.trial_until
        if starts_on is not None:
            contracts.apply(
                connection,
                row.customer_id,
                "start",
                starts_on,
                signature,
                partial(rules.start, on=starts_on, plan=plan, trial_until=trial),
            )
        elif plan is not None:
            on = max(row.today, row.runs_from or row.today)
            contracts.apply(
                connection, row.customer_id, "plan", on, signature, partial(rules.change_plan, on=on, plan=plan)
            )
        if trial is not None and starts_on is None:
            on = row.runs_from or row.today
            contracts.apply(
                connection, row.customer_id, "trial", on, signature, partial(rules.set_trial, on=on, until=trial)
            )
        if ends_on is not None:
            contracts.apply(connection, row.customer_id, "end", ends_on, signature, partial(rules.end, on=ends_on))
    return [row.customer_id for row in rows]


def _blanks_as_nulls(table: pa.Table) -> pa.Table:
    for name in ("cycle_anchor", *CONTRACT_FIELDS, *KEPT_FIELDS):
        column = table[name]
        nulled = pc.if_else(pc.equal(column, pa.scalar("")), pa.scalar(None, pa.string()), column)
        table = table.set_column(table.schema.get_field_index(name), name, nulled)
    return table


def _add_problems(connection: Connection, problems: ProblemList) -> None:
    parameters = {"shown": PROBLEMS_SHOWN, "date_format": DATE}
    found = connection.execute(text(load_sql("customers/import_problems.sql")), parameters).mappings().all()
    for row in found:
        problems.add(row["line"], row["field"], row["value"], row["expected"])
    if found:
        problems.count_more(found[0]["total"] - len(found))
