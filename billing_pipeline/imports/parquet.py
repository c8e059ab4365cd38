"""Parquet as batches of text. The line of a row is its number, from 1.

Here: which column types may stand for a field, and how they become text without losing a digit. Not here: what
a cell may hold.
"""

import bisect
import json
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, BinaryIO, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from billing_pipeline.imports.columns import Batch, Texts
from billing_pipeline.imports.problems import ProblemList, printable, refused
from billing_pipeline.imports.rules.fields import Field, Kind
from billing_pipeline.imports.text import check_names

AnyArray: TypeAlias = "pa.Array[Any]"

_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError, NotImplementedError)
"""What Arrow raises for a file that is not as it says, Python's own errors among them."""

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
        schema = parquet.schema_arrow
        names = schema.names
        group_rows = [parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups)]
    except _ARROW_ERRORS as error:
        raise refused(problems.file, f"a Parquet file: {_first_line(error)}") from None
    check_names(names, fields, problems.file, None)
    by_name = {field.name: field for field in fields}
    for column in schema:
        if isinstance(column.type, pa.StructType) and len(set(_names(column.type))) < column.type.num_fields:
            raise refused(problems.file, "a struct that has each name once", field=column.name, value=str(column.type))
        if not _may_stand_for(by_name[column.name].kind, column.type):
            raise refused(
                problems.file, _EXPECTED[by_name[column.name].kind], field=column.name, value=str(column.type)
            )
    first = 1
    ends = list(accumulate(group_rows))
    try:
        batches = parquet.iter_batches(batch_rows, use_threads=False)
        while (batch := next(batches, None)) is not None:
            columns = {name: _texts(problems.file, name, batch.column(name), first, ends) for name in names}
            yield Batch(range(first, first + batch.num_rows), columns)
            first += batch.num_rows
    except _ARROW_ERRORS as error:
        said = f"a readable Parquet file: {_first_line(error)} (row group {_group_of(first, ends)})"
        raise refused(problems.file, said, line=first) from None


def _group_of(row: int, ends: Sequence[int]) -> int:
    """The number of the row group, from 1, that holds the row; `ends`: the last row of each."""
    return min(bisect.bisect_left(ends, row), len(ends) - 1) + 1


def _first_line(error: BaseException) -> str:
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0])


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


def _names(struct: "pa.StructType") -> list[str]:
    return [struct.field(index).name for index in range(struct.num_fields)]


def _texts(file: str, name: str, column: AnyArray, first: int, ends: Sequence[int]) -> Texts:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    try:
        if types.is_dictionary(column.type):
            column = cast("pa.DictionaryArray[Any, Any]", column).dictionary_decode()
        bad = _first_bad(column)
        if bad is not None:
            line = first + bad
            raise refused(file, f"UTF-8 text (row group {_group_of(line, ends)})", line=line, field=name)
        if isinstance(column.type, pa.StructType | pa.MapType):
            column = pa.array([_json(value) for value in column.to_pylist()], pa.string())
        elif isinstance(column.type, pa.TimestampType):
            column = _instants(column)
        elif types.is_date64(column.type):
            column = pc.cast(column, pa.date32())
        return cast(Texts, pc.coalesce(pc.cast(column, pa.string()), pa.scalar("")))
    except _ARROW_ERRORS as error:
        said = f"values that can be read exactly: {_first_line(error)} (row group {_group_of(first, ends)})"
        raise refused(file, said, line=first, field=name) from None


def _first_bad(column: AnyArray) -> int | None:
    """The index of the first value that is not what its type says, such as text that is no UTF-8; None: all are."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        low, high = 0, len(column)  # the first bad one is in [low, high)
        while high - low > 1:
            middle = (low + high) // 2
            # a copy: the check of a slice looks at all values of the children
            part = pa.concat_arrays([column.slice(low, middle - low)])
            try:
                part.validate(full=True)
                low = middle
            except pa.ArrowInvalid:
                high = middle
        return low
    return None


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
