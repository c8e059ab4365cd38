"""Parquet as batches of text. The line of a row is its number, from 1.

Here: which column types may stand for a field, and how they become text without losing a digit. Not here: what
a cell may hold.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from billing_pipeline.imports.columns import Batch, Texts
from billing_pipeline.imports.problems import ProblemList, refused
from billing_pipeline.imports.rules.fields import Field, Kind
from billing_pipeline.imports.text import check_names

AnyArray: TypeAlias = "pa.Array[Any]"

_EXPECTED: dict[Kind, str] = {
    "text": "a text column: numbers lose leading zeros",
    "number": "a decimal, integer or text column: a float has lost digits",
    "instant": "a timestamp column with a time zone, or text",
    "date": "a date column, or text",
    "object": "a text column with JSON, or a struct or map of texts",
}


def read_parquet(stream: BinaryIO, fields: Sequence[Field], problems: ProblemList, batch_rows: int) -> Iterator[Batch]:
    """A Parquet file; nulls mean blank."""
    try:
        parquet = pq.ParquetFile(stream, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise refused(problems.file, f"a Parquet file: {_first_line(error)}") from None
    schema = parquet.schema_arrow
    check_names(schema.names, fields, problems.file, None)
    by_name = {field.name: field for field in fields}
    for column in schema:
        if not _may_stand_for(by_name[column.name].kind, column.type):
            raise refused(
                problems.file, _EXPECTED[by_name[column.name].kind], field=column.name, value=str(column.type)
            )
    first = 1
    batches = parquet.iter_batches(batch_rows, use_threads=False)
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise refused(problems.file, f"a readable Parquet file: {_first_line(error)}", line=first) from None
        if batch is None:
            return
        columns = {name: _texts(problems.file, name, batch.column(name)) for name in schema.names}
        yield Batch(range(first, first + batch.num_rows), columns)
        first += batch.num_rows


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _is_text(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind)
    )


def _may_stand_for(kind: Kind, column: pa.DataType) -> bool:
    if isinstance(column, pa.BaseExtensionType):
        column = column.storage_type
    if _is_text(column):
        return True
    if kind == "number":
        return bool(types.is_decimal(column) or types.is_integer(column))
    if kind == "instant":
        return isinstance(column, pa.TimestampType) and column.tz is not None
    if kind == "date":
        return bool(types.is_date(column))
    if kind == "object" and isinstance(column, pa.StructType):
        return all(_is_text(column.field(index).type) for index in range(column.num_fields))
    return (
        kind == "object" and isinstance(column, pa.MapType) and _is_text(column.key_type) and _is_text(column.item_type)
    )


def _texts(file: str, name: str, column: AnyArray) -> Texts:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    try:
        if types.is_dictionary(column.type):
            column = cast("pa.DictionaryArray[Any, Any]", column).dictionary_decode()
        if isinstance(column.type, pa.StructType | pa.MapType):
            column = pa.array([_json(value) for value in column.to_pylist()], pa.string())
        elif isinstance(column.type, pa.TimestampType):
            column = _instants(column)
        elif types.is_date64(column.type):
            column = pc.cast(column, pa.date32())
        return cast(Texts, pc.coalesce(pc.cast(column, pa.string()), pa.scalar("")))
    except pa.ArrowException as error:
        raise refused(file, f"values that can be read exactly: {_first_line(error)}", field=name) from None


def _instants(column: AnyArray) -> AnyArray:
    """UTC text; nanoseconds that are no whole microseconds keep their nine digits, for the rule to refuse."""
    unit = column.type.unit
    column = pc.cast(column, pa.timestamp(unit, "UTC"))
    micros = pc.cast(column, pa.timestamp("us", "UTC"), safe=unit != "ns")
    text = pc.cast(micros, pa.string())
    if unit != "ns":
        return text
    exact = pc.equal(pc.cast(micros, pa.timestamp("ns", "UTC")), column)
    return cast(AnyArray, pc.if_else(exact, text, pc.cast(column, pa.string())))


def _json(value: dict[str, str | None] | list[tuple[str, str | None]] | None) -> str:
    # A struct has every name in every row: a null means that the row does not have the name.
    pairs = value.items() if isinstance(value, dict) else value or []
    inner = (f"{json.dumps(k)}: {json.dumps(v)}" for k, v in pairs if v is not None)
    return "{" + ", ".join(inner) + "}"
