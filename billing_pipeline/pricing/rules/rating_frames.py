"""The columns that rating takes and gives: schemas, frame -> Arrow, Arrow -> frame.

Here: types and what is refused about them. Not here: prices, arithmetic.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.descriptions import dimensions_text
from billing_pipeline.pricing.rules.price_book import PriceRow

# The stubs know no arithmetic of decimal arrays with scalars, which is all that rating does.
pc: Any = pyarrow.compute

Codes = npt.NDArray[np.int64]

DECIMAL = pa.decimal256(30, 12)
EXACT = pa.decimal256(61, 24)


def _schema(fields: list[Any]) -> pa.Schema:
    return pa.schema(fields)


SNAPSHOT_SCHEMA = _schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("invoice_id", pa.string(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("start_date", pa.date32(), nullable=False),
        pa.field("meter", pa.string(), nullable=False),
        pa.field("dimensions", pa.string(), nullable=False),
        pa.field("quantity", DECIMAL, nullable=False),
        pa.field("event_count", pa.int64(), nullable=False),
        pa.field("basis", pa.string(), nullable=False),
        pa.field("days", pa.int64()),
        pa.field("full_days", pa.int64()),
        pa.field("plan", pa.string()),
        pa.field("in_trial", pa.bool_()),
    ]
)

_LATER_TERMS = ("prorate", "plan", "lines", "scope", "pool", "maximum", "flat_amount")
OPTIONAL = frozenset({"days", "full_days", "in_trial", *_LATER_TERMS})
"""Columns that a frame may lack: they are null then. Days are given where a constant meter's period is short, and
`in_trial` is true where it is a trial's."""

PRICE_SCHEMA = _schema(
    [
        pa.field("price_id", pa.string(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("version_id", pa.string(), nullable=False),
        pa.field("effective_from", pa.date32(), nullable=False),
        pa.field("customer_id", pa.string()),
        pa.field("meter", pa.string(), nullable=False),
        pa.field("dimensions", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("tier_no", pa.int64(), nullable=False),
        pa.field("tier_from", DECIMAL, nullable=False),
        pa.field("tier_up_to", DECIMAL),
        pa.field("unit_amount", DECIMAL, nullable=False),
        pa.field("package_size", DECIMAL),
        pa.field("included", DECIMAL, nullable=False),
        pa.field("minimum", DECIMAL),
        pa.field("description", pa.string()),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("prorate", pa.string()),
        pa.field("plan", pa.string()),
        pa.field("lines", pa.string()),
        pa.field("scope", pa.string()),
        pa.field("pool", pa.string()),
        pa.field("maximum", DECIMAL),
        pa.field("flat_amount", DECIMAL),
    ]
)

LINE_SCHEMA = _schema(
    [
        pa.field("invoice_id", pa.string()),
        pa.field("line_no", pa.int64()),
        pa.field("customer_id", pa.string()),
        pa.field("meter", pa.string()),
        pa.field("dimensions", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("description", pa.string()),
        pa.field("usage_quantity", DECIMAL),
        pa.field("included_quantity", DECIMAL),
        pa.field("quantity", DECIMAL),
        pa.field("unit_amount", DECIMAL),
        pa.field("exact_amount", EXACT),
        pa.field("currency", pa.string()),
        pa.field("amount_minor", pa.int64()),
        pa.field("price_id", pa.string()),
        pa.field("price_version", pa.string()),
        pa.field("basis", pa.string()),
        pa.field("billed_days", pa.int64()),
        pa.field("full_days", pa.int64()),
    ]
)


def to_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Those of the schema's columns that the frame has, as they are."""
    given = [name for name in schema.names if name in frame.columns]
    return pa.Table.from_pandas(frame[given], preserve_index=False)


def read_columns(table: pa.Table, schema: pa.Schema, what: str) -> dict[str, Array]:
    """The table's columns as arrays of the schema's types; further columns are ignored.

    Raises ValueError naming the column for a missing one, nulls where none may be, floats where decimals
    belong (they have lost digits already), and values that do not fit the type.
    """
    absent = [name for name in schema.names if name not in table.column_names]
    missing = [name for name in absent if name not in OPTIONAL]
    if missing:
        raise ValueError(f"{what} lack the column(s) {', '.join(missing)}")
    columns: dict[str, Array] = {}
    for field in schema:
        if field.name in absent:
            columns[field.name] = pa.nulls(table.num_rows, field.type)
            continue
        column = table.column(field.name)
        if pa.types.is_decimal(field.type) and pa.types.is_floating(column.type):
            raise ValueError(f"{what}.{field.name} holds floats: expected exact decimals")
        if not field.nullable and column.null_count:
            raise ValueError(f"{what}.{field.name} has {column.null_count} null(s)")
        try:
            if pa.types.is_decimal(field.type) and pa.types.is_integer(column.type):
                column = column.cast(pa.decimal256(19, 0))  # Arrow casts no int64 to a decimal of 18 integer digits
            chunks = (column if column.type == field.type else column.cast(field.type)).chunks
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            text = f"{what}.{field.name}: expected {field.type}, found {column.type}: {error}"
            raise ValueError(text) from None
        columns[field.name] = pa.concat_arrays(chunks or [pa.array([], field.type)])
    return columns


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A frame of ArrowDtype columns, without a copy."""
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def price_table(rows: Sequence[PriceRow]) -> pa.Table:
    """Price rows as `rate_tables` takes them."""
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in PRICE_SCHEMA.names}
    columns["price_id"] = [str(price_id) for price_id in columns["price_id"]]
    columns["dimensions"] = [dimensions_text(dimensions) for dimensions in columns["dimensions"]]
    return pa.table([pa.array(columns[f.name], f.type) for f in PRICE_SCHEMA], schema=PRICE_SCHEMA)


def price_frame(rows: Sequence[PriceRow]) -> pd.DataFrame:
    """Price rows as `rate` takes them."""
    return to_frame(price_table(rows))


def encode(column: Array) -> tuple[Codes, Array]:
    """Codes of a column without nulls, and the distinct values they index, in order of first appearance."""
    encoded = pc.dictionary_encode(column)
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def pair(first: Codes, second: Codes, second_count: int) -> tuple[Codes, Codes]:
    """Codes of the pairs `(first, second)`, and each distinct one's first row, in order of appearance."""
    codes, _ = pd.factorize(first * second_count + second)
    codes = codes.astype(np.int64)
    examples = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    examples[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return codes, examples


def values(column: Array) -> list[Any]:
    """A short column as Python values; nothing that has a row per snapshot comes here."""
    return list(column.to_pylist())


def take(column: Array, rows: Codes) -> Array:
    """The column's values at these rows."""
    taken: Array = pc.take(column, pa.array(rows))
    return taken


def sums(group: Codes, column: Array, of: pa.DataType) -> Array:
    """The exact sum of each group, in the groups' order, as decimals of the type `of`."""
    own = pa.table({"group": pa.array(group), "value": pc.cast(column, of)})
    found = own.group_by("group").aggregate([("value", "sum")]).sort_by("group")
    total: Array = pc.cast(pa.concat_arrays(found["value_sum"].chunks), of)
    return total


def ranks(column: Array) -> Codes:
    """The place of each value among all of them, sorted: texts by bytes, equal ones in any order."""
    places = np.empty(len(column), dtype=np.int64)
    places[pc.sort_indices(column).to_numpy()] = np.arange(len(column))
    return places
