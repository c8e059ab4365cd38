"""Usage snapshots through `core.rating` into line items: streamed out, rated in Arrow, streamed in."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute
from sqlalchemy import Connection, text

from billing_pipeline.adapters.builds.month import (
    Built,
    count_rows,
    owned_month,
    record_build,
    version_of,
)
from billing_pipeline.adapters.builds.usage_snapshots import OPEN_PERIODS, QUARANTINE_KEY
from billing_pipeline.adapters.warehouse import (
    Warehouse,
    copy_arrow_in,
    copy_arrow_out,
    joined_in_bulk,
    load_sql,
    replace_rows,
)
from billing_pipeline.core.invoicing import invoice_ids
from billing_pipeline.core.rating import rate
from billing_pipeline.core.rating_frames import DECIMAL, LINE_SCHEMA, PRICE_SCHEMA

pc: Any = pyarrow.compute

OPEN_LINES = f"""{OPEN_PERIODS} AND NOT EXISTS (
    SELECT FROM billing.invoices AS v WHERE v.invoice_id = t.invoice_id AND v.status = 'void'
)"""
"""Lines that may still be rebuilt: those of a void invoice stay, the next revision gets lines of its own."""

BLOCK_BYTES = 16 << 20
"""Snapshots are rated in blocks of about this much text, so that a month of any size needs little memory."""

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("customer_id", pa.string()),
    ("start_iso", pa.string()),
    ("period_id", pa.string()),
    ("currency", pa.string()),
    ("start_date", pa.date32()),
    ("meter", pa.string()),
    ("dimensions", pa.string()),
    ("quantity", DECIMAL),
    ("event_count", pa.int64()),
    ("basis", pa.string()),
    ("revision", pa.int64()),
]
_SNAPSHOTS = pa.schema(_FIELDS)
_COLUMNS = (*LINE_SCHEMA.names, "period_id", "billing_month", "run_id")
_UNPRICED = (
    "billing_month",
    "stage",
    "customer_id",
    "meter",
    "dimensions",
    "period_id",
    "reason",
    "quantity",
    "event_count",
    "run_id",
)


@dataclass(frozen=True)
class BuiltLines(Built):
    """Also the snapshots that no price covers, now in quarantine."""

    unpriced_snapshots: int


def build(warehouse: Warehouse, month: date, run_id: str, *, block_bytes: int = BLOCK_BYTES) -> BuiltLines:
    """Price the month's snapshots whose period has no finalised invoice.

    Invoices whose lines come out as they were are left alone; a draft whose lines differ is dropped with them, and the
    invoices asset drafts it anew.

    Raises:
        RatingError: a value does not fit; names customer, meter and value.
    """
    with owned_month(warehouse, month) as connection:
        scope = {"month": month}
        with joined_in_bulk(connection):
            fresh = not connection.execute(
                text(f"SELECT EXISTS (SELECT FROM billing.invoice_line_items AS t WHERE {OPEN_LINES})"), scope
            ).scalar()
        target = "billing.invoice_line_items"
        if not fresh:
            connection.execute(
                text(
                    "CREATE TEMP TABLE built_lines ON COMMIT DROP AS"
                    " SELECT * FROM billing.invoice_line_items WITH NO DATA"
                )
            )
            target = "pg_temp.built_lines"
        unpriced: list[pa.Table] = []
        # COPY out and COPY in at once need two connections; the month's lock keeps the reader's rows still. An error
        # must end the COPY out before its connection is given back, which would wait for it for ever
        with (
            warehouse.engine.connect() as reader,
            joined_in_bulk(reader),
            closing(_rated(reader, month, run_id, block_bytes, unpriced)) as lines,
        ):
            written = copy_arrow_in(connection, target, _COLUMNS, lines)
        deleted = 0
        if not fresh:
            deleted, written = _replace_changed(connection, scope)
        _quarantine(connection, unpriced, scope)
        record_build(
            connection,
            "invoice_line_items",
            month,
            run_id,
            built_from=version_of(connection, "usage_snapshots", month),
        )
        row_count = count_rows(connection, "invoice_line_items", month)
    return BuiltLines(written, deleted, row_count, sum(table.num_rows for table in unpriced))


def _rated(
    reader: Connection, month: date, run_id: str, block_bytes: int, unpriced: list[pa.Table]
) -> Generator[pa.Table]:
    """Lines of the month, block by block; what has no price is appended to `unpriced`."""
    query = f"SELECT {', '.join(PRICE_SCHEMA.names)} FROM billing.prices WHERE retired_at IS NULL ORDER BY price_id"
    price_tables = list(copy_arrow_out(reader, query, {}, PRICE_SCHEMA))
    prices = pa.concat_tables(price_tables or [PRICE_SCHEMA.empty_table()]).to_pandas(types_mapper=pd.ArrowDtype)
    snapshots = load_sql("assets/invoice_line_items_input.sql")
    with closing(copy_arrow_out(reader, snapshots, {"month": month}, _SNAPSHOTS, block_bytes)) as blocks:
        for block in _whole_customers(blocks):
            block = block.append_column("invoice_id", _invoice_ids(block))
            rated = rate(block.to_pandas(types_mapper=pd.ArrowDtype), prices)
            yield _with_period(pa.Table.from_pandas(rated.lines, preserve_index=False), block, month, run_id)
            if len(rated.unpriced):
                left = pa.Table.from_pandas(rated.unpriced, preserve_index=False)
                left = _with_period(left, block, month, run_id)
                unpriced.append(_constant(left, "stage", "invoice_line_items"))


def _invoice_ids(block: pa.Table) -> Any:
    """The id of each row's invoice, computed once a period."""
    periods = block["period_id"].combine_chunks().dictionary_encode()
    first = pc.index_in(periods.dictionary, value_set=block["period_id"].combine_chunks())
    columns: list[list[Any]] = [
        block[name].take(first).to_pylist() for name in ("customer_id", "start_iso", "revision")
    ]
    customers, starts, revisions = columns
    return pa.array(invoice_ids(customers, starts, revisions), pa.string()).take(periods.indices)


def _whole_customers(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Blocks cut anew so that none ends within a customer: a price's minimum looks at the whole invoice."""
    rest: pa.Table | None = None
    for block in blocks:
        table = block if rest is None else pa.concat_tables([rest, block])
        customers = table["customer_id"]
        same_as_last = pc.equal(customers, customers[-1])
        cut = pc.index(same_as_last, True).as_py()
        rest = table.slice(cut)
        if cut:
            yield table.slice(0, cut).combine_chunks()
    if rest is not None and rest.num_rows:
        yield rest.combine_chunks()


def _with_period(lines: pa.Table, block: pa.Table, month: date, run_id: str) -> pa.Table:
    """Add period_id by invoice_id, and the month and run."""
    positions = pc.index_in(lines["invoice_id"], value_set=block["invoice_id"].combine_chunks())
    lines = lines.append_column("period_id", block["period_id"].combine_chunks().take(positions))
    return _constant(_constant(lines, "billing_month", month.isoformat()), "run_id", run_id)


def _constant(table: pa.Table, name: str, value: str) -> pa.Table:
    return table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))


def _replace_changed(connection: Connection, scope: dict[str, Any]) -> tuple[int, int]:
    """Replace the lines of those invoices that came out differently; returns rows deleted and inserted."""
    compared = [name for name in _COLUMNS if name != "run_id"]
    names = ", ".join(compared)
    connection.execute(text("ANALYZE pg_temp.built_lines"))
    with joined_in_bulk(connection):
        connection.execute(
            text(
                f"""
                CREATE TEMP TABLE changed ON COMMIT DROP AS
                SELECT DISTINCT invoice_id FROM (
                    (
                        SELECT {names} FROM pg_temp.built_lines
                        EXCEPT ALL
                        SELECT {names} FROM billing.invoice_line_items AS t WHERE {OPEN_LINES}
                    )
                    UNION ALL
                    (
                        SELECT {names} FROM billing.invoice_line_items AS t WHERE {OPEN_LINES}
                        EXCEPT ALL
                        SELECT {names} FROM pg_temp.built_lines
                    )
                ) AS differences
                """
            ),
            scope,
        )
    connection.execute(
        text("DELETE FROM billing.invoices WHERE invoice_id IN (SELECT invoice_id FROM pg_temp.changed)")
    )
    deleted = connection.execute(
        text("DELETE FROM billing.invoice_line_items WHERE invoice_id IN (SELECT invoice_id FROM pg_temp.changed)")
    ).rowcount
    all_names = ", ".join(_COLUMNS)
    inserted = connection.execute(
        text(
            f"INSERT INTO billing.invoice_line_items ({all_names}) SELECT {all_names} FROM pg_temp.built_lines"
            " WHERE invoice_id IN (SELECT invoice_id FROM pg_temp.changed)"
        )
    ).rowcount
    return deleted, inserted


def _quarantine(connection: Connection, unpriced: list[pa.Table], scope: dict[str, Any]) -> None:
    connection.execute(
        text("CREATE TEMP TABLE unpriced ON COMMIT DROP AS SELECT * FROM billing.usage_quarantine WITH NO DATA")
    )
    if unpriced:
        copy_arrow_in(connection, "pg_temp.unpriced", _UNPRICED, unpriced)
    replace_rows(
        connection,
        "billing.usage_quarantine",
        "SELECT * FROM pg_temp.unpriced",
        f"{OPEN_PERIODS} AND t.stage = 'invoice_line_items'",
        scope,
        key=QUARANTINE_KEY,
    )
