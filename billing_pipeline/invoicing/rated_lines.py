"""Snapshots through `pricing/rules/rating.py` into lines: streamed out of Postgres, rated in Arrow, block by block."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.compute
from sqlalchemy import Connection

from billing_pipeline.invoicing.period_terms import PeriodTerms
from billing_pipeline.invoicing.rules.invoice_ids import invoice_ids
from billing_pipeline.postgres.arrow_copy import copy_arrow_out
from billing_pipeline.pricing.rules.rating import rate_tables
from billing_pipeline.pricing.rules.rating_frames import DECIMAL, LINE_SCHEMA

pc: Any = pyarrow.compute

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
    ("days", pa.int64()),
    ("full_days", pa.int64()),
    ("plan", pa.string()),
    ("in_trial", pa.bool_()),
]
SNAPSHOTS = pa.schema(_FIELDS)
"""The columns of the statements whose rows are rated, a customer's rows together."""

LINE_COLUMNS = (*LINE_SCHEMA.names, "period_id", "term_id")


def rated_lines(
    reader: Connection,
    snapshots: str,
    parameters: Mapping[str, object],
    prices: pa.Table,
    unpriced: list[pa.Table],
    terms: PeriodTerms,
    block_bytes: int = BLOCK_BYTES,
) -> Generator[pa.Table]:
    """Lines of the statement's snapshots, and of its periods' terms; what has no price is appended to `unpriced`.

    Close the generator if it is not read to its end.
    """
    with closing(copy_arrow_out(reader, snapshots, parameters, SNAPSHOTS, block_bytes)) as blocks:
        for block in _whole_customers(blocks):
            block = block.append_column("invoice_id", _invoice_ids(block))
            rated = rate_tables(block, prices)
            yield terms.extend(_with_period(rated.lines, block))
            if len(rated.unpriced):
                unpriced.append(_with_period(rated.unpriced, block))
    yield terms.rest()


def constant(table: pa.Table, name: str, value: str) -> pa.Table:
    """The table with one more column, the same in every row."""
    return table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))


def _invoice_ids(block: pa.Table) -> Any:
    """The id of each row's invoice, computed once a period."""
    periods = block["period_id"].combine_chunks().dictionary_encode()
    first = pc.index_in(periods.dictionary, value_set=block["period_id"].combine_chunks())
    customers, starts = (
        [str(value) for value in block[name].take(first).to_pylist()] for name in ("customer_id", "start_iso")
    )
    return pa.array(invoice_ids(customers, starts), pa.string()).take(periods.indices)


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


def _with_period(lines: pa.Table, block: pa.Table) -> pa.Table:
    """Add period_id by invoice_id."""
    positions = pc.index_in(lines["invoice_id"], value_set=block["invoice_id"].combine_chunks())
    return lines.append_column("period_id", block["period_id"].combine_chunks().take(positions))
