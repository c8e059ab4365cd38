"""CSV and JSON Lines as batches of text, each row with the physical line where it starts.

Here: what the two formats are. Not here: what a cell may hold, Parquet.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

from billing_pipeline.imports.columns import Batch, text_batch
from billing_pipeline.imports.problems import ProblemList, refused
from billing_pipeline.imports.rules.fields import Field, unique_pairs

LINE_LENGTH_MAX = 1 << 20
"""A longer line is no row of ours; without a limit a file without line breaks would fill the memory."""

_BOM = b"\xef\xbb\xbf"


class _UnreadableError(Exception):
    """The rest of the file cannot be told apart into rows; the text says what was expected."""


def check_names(names: Sequence[str], fields: Sequence[Field], file: str, line: int | None) -> None:
    """Refuse a file whose columns are not the ones of its kind, in any order."""
    known = [field.name for field in fields]
    wanted = ", ".join(known)
    for name in names:
        if name not in known:
            raise refused(file, f"only the columns {wanted}", line=line, field="column", value=name)
        if names.count(name) > 1:
            raise refused(file, "each column once", line=line, field="column", value=name)
    for field in fields:
        if field.required and field.name not in names:
            raise refused(file, f"a column {field.name} among {wanted}", line=line)


def read_csv(stream: BinaryIO, fields: Sequence[Field], problems: ProblemList, batch_rows: int) -> Iterator[Batch]:
    """RFC 4180 with a header line, in UTF-8 with or without a byte order mark; blank lines are skipped."""
    # surrogateescape: a bad byte is found with its row later, not somewhere within a buffer
    text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
    reader = csv.reader(_lines(text), strict=True)
    start = 1
    try:
        names = next((row for row in reader if row), None)
        if names is None:
            raise refused(problems.file, "a header line, found an empty file")
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in "".join(names)):
            raise refused(problems.file, "UTF-8 text", line=reader.line_num)
        check_names(names, fields, problems.file, reader.line_num)
        start = reader.line_num + 1
        width = len(names)
        rows: list[list[str]] = []
        lines: list[int] = []
        for row in reader:
            if len(row) == width:
                rows.append(row)
                lines.append(start)
                if len(rows) == batch_rows:
                    yield text_batch(names, lines, rows, problems)
                    rows, lines = [], []
            elif row:
                problems.add(start, None, None, f"{width} fields, found {len(row)}")
            start = reader.line_num + 1
        if rows:
            yield text_batch(names, lines, rows, problems)
    except csv.Error as error:
        problems.add(start, None, None, f"{_csv_expected(str(error))}; nothing after it was read")
    except _UnreadableError as error:
        problems.add(start, None, None, f"{error}; nothing after it was read")


def _csv_expected(error: str) -> str:
    if "field limit" in error or "end of data" in error:
        return "a closing quote"
    if "expected after" in error:
        return "a comma or a line break after a closing quote"
    return f"CSV as in RFC 4180 ({error})"


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LINE_LENGTH_MAX):
        if len(line) == LINE_LENGTH_MAX and line[-1] not in "\r\n":
            raise _UnreadableError(f"a line of less than {LINE_LENGTH_MAX:,} characters")
        yield line


class _Number(str):
    """A JSON number as it is written: a float would lose digits."""

    __slots__ = ()


_DECODER = json.JSONDecoder(
    object_pairs_hook=unique_pairs, parse_float=_Number, parse_int=_Number, parse_constant=_Number
)


def read_jsonl(stream: BinaryIO, fields: Sequence[Field], problems: ProblemList, batch_rows: int) -> Iterator[Batch]:
    """One JSON object a line (https://jsonlines.org), in UTF-8; null and a missing name mean blank."""
    names = [field.name for field in fields]
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 0
    while data := stream.readline(LINE_LENGTH_MAX):
        line += 1
        if len(data) == LINE_LENGTH_MAX and not data.endswith(b"\n"):
            problems.add(line, None, None, f"a line of less than {LINE_LENGTH_MAX:,} bytes; nothing after it was read")
            return
        data = data.removeprefix(_BOM) if line == 1 else data
        if not data.strip():
            continue
        row = _json_row(data, fields, line, problems)
        if row is not None:
            rows.append(row)
            lines.append(line)
        if len(rows) == batch_rows:
            yield text_batch(names, lines, rows, problems)
            rows, lines = [], []
    if line == 0:
        raise refused(problems.file, "one JSON object a line, found an empty file")
    if rows:
        yield text_batch(names, lines, rows, problems)


def read_events(rows: Sequence[bytes], fields: Sequence[Field], problems: ProblemList) -> Batch:
    """JSON objects that came one by one, as lines of JSON Lines; the line of each is its number, from 1."""
    found = [(line, _json_row(data, fields, line, problems)) for line, data in enumerate(rows, start=1)]
    good = [(line, row) for line, row in found if row is not None]
    return text_batch([field.name for field in fields], [line for line, _ in good], [row for _, row in good], problems)


def _json_row(data: bytes, fields: Sequence[Field], line: int, problems: ProblemList) -> list[str] | None:
    try:
        record = _DECODER.decode(data.decode().rstrip())
        if not isinstance(record, dict):
            raise TypeError
    except UnicodeDecodeError:
        problems.add(line, None, None, "UTF-8 text")
        return None
    except json.JSONDecodeError as error:
        problems.add(line, None, None, f"a JSON object on one line: {error.msg} at character {error.pos + 1}")
        return None
    except (ValueError, TypeError, RecursionError) as error:
        problems.add(line, None, None, str(error) if type(error) is ValueError else "a JSON object on one line")
        return None
    row = []
    left = len(record)
    for field in fields:
        value = record.get(field.name, _ABSENT)
        if value is _ABSENT:
            value = ""
            if field.required:
                problems.add(line, field.name, None, "a value, found none")
                return None
        else:
            left -= 1
        if type(value) is not str:
            if type(value) in (_Number, bool, list, dict) and not _may_hold(field, value):
                problems.add(line, field.name, _json_text(value), "text in quotes")
                return None
            value = "" if value is None else _json_text(value)
        row.append(value)
    if left:
        known = ", ".join(field.name for field in fields)
        unknown = next(name for name in record if name not in {field.name for field in fields})
        problems.add(line, "name", unknown, f"only {known}")
        return None
    return row


_ABSENT = object()


def _may_hold(field: Field, value: object) -> bool:
    # any other kind of value goes to the field's rule as JSON, and the rule refuses it
    return field.kind in ("number", "object") or (value is None)


def _json_text(value: object) -> str:
    """JSON with the numbers as they were written."""
    if type(value) is _Number:
        return str(value)
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {_json_text(v)}" for k, v in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
