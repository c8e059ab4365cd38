"""Bulk COPY of Arrow tables, in and out, without rounding.

A module of its own: Arrow takes a quarter of a second to load, and a command that only lists does without it.
"""

import io
from collections.abc import Generator, Iterable, Mapping, Sequence

import psycopg
import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg import sql
from sqlalchemy import Connection, text

from billing_pipeline.postgres.connections import raw


def copy_arrow_in(connection: Connection, table: str, columns: Sequence[str], batches: Iterable[pa.Table]) -> int:
    """COPY Arrow tables into `schema.table` in one statement; decimals keep every digit. Returns the row count."""
    target = sql.SQL(".").join(sql.Identifier(part) for part in table.split("."))
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(target, names)
    row_count = 0
    options = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")
    with raw(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for batch in batches:
            buffer = io.BytesIO()
            arrow_csv.write_csv(batch.select(list(columns)), buffer, options)
            copy.write(buffer.getbuffer())
            row_count += batch.num_rows
    return row_count


def copy_arrow_out(
    connection: Connection, query: str, parameters: Mapping[str, object], schema: pa.Schema, block_bytes: int = 1 << 24
) -> Generator[pa.Table]:
    """Stream a query's rows as Arrow tables of about `block_bytes` of text, typed by `schema` without rounding.

    Close the generator if it is not read to its end: until then the connection can do nothing else.
    """
    inner = _bound(connection, query, parameters)
    options = arrow_csv.ConvertOptions(
        column_types={field.name: _readable(field.type) for field in schema},
        null_values=[""],
        true_values=["t"],
        false_values=["f"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(sql.SQL(inner))
    with raw(connection).cursor() as cursor, cursor.copy(statement) as copy:
        pending: list[bytes] = []
        size = 0
        for chunk in copy:  # each chunk is a whole number of rows
            pending.append(bytes(chunk))
            size += len(chunk)
            if size >= block_bytes:
                yield _parse(pending, schema, options)
                pending, size = [], 0
        if pending:
            yield _parse(pending, schema, options)


def _readable(kind: pa.DataType) -> pa.DataType:
    # Arrow's CSV reader knows no decimal256; 38 digits hold any exact_decimal
    return pa.decimal128(38, kind.scale) if pa.types.is_decimal256(kind) else kind


def _parse(chunks: list[bytes], schema: pa.Schema, options: arrow_csv.ConvertOptions) -> pa.Table:
    data = b"".join(chunks)
    read = arrow_csv.ReadOptions(column_names=schema.names, use_threads=False, block_size=len(data) + 1)
    table = arrow_csv.read_csv(io.BytesIO(data), read, arrow_csv.ParseOptions(newlines_in_values=True), options)
    return table.cast(schema)


def _bound(connection: Connection, query: str, parameters: Mapping[str, object]) -> str:
    """The query with its values as literals: COPY takes no parameters."""
    compiled = text(query).compile(dialect=connection.dialect)
    values = {name: parameters[name] for name in compiled.params}
    with psycopg.ClientCursor(raw(connection)) as cursor:
        return cursor.mogrify(compiled.string, values)
