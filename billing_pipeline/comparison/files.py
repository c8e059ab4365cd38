"""Differences as files: CSV and Parquet for programs, and the expectations that a CI run is held against."""

import csv
from collections.abc import Sequence
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from billing_pipeline.comparison.rules.month_diff import Difference, Key
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.texts import FORMULA, spreadsheet_text

_QUANTITY = pa.decimal128(38, 12)
_FIELDS: list[tuple[str, pa.DataType]] = [
    (
        field.name,
        _QUANTITY if field.name.endswith("_quantity") else pa.int64() if field.name.endswith("_minor") else pa.string(),
    )
    for field in fields(Difference)
]
SCHEMA = pa.schema(_FIELDS)
"""Columns of both files: those of rules.month_diff.Difference, amounts in minor units of `currency`."""

KEY = ("currency", "customer_id", "meter", "dimensions", "kind")


class ExpectationError(UserError):
    """A file of expected differences that cannot be read; names line and column."""


def write_csv(found: Sequence[Difference], path: Path) -> None:
    """Write the differences; the file can be read back as the expected ones.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP advises (CSV injection);
    `read_expected` takes it off again. Numbers stay numbers.
    """
    with _opened(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SCHEMA.names)
        writer.writerows([_cell(getattr(each, name)) for name in SCHEMA.names] for each in found)


def write_parquet(found: Sequence[Difference], path: Path) -> None:
    """Write the differences with exact decimals."""
    rows = [{name: getattr(each, name) for name in SCHEMA.names} for each in found]
    with _opened(path, "wb") as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), file)


def write_text(content: str, path: Path) -> None:
    """Write a report."""
    with _opened(path) as file:
        file.write(content)


def read_expected(path: Path) -> dict[Key, int]:
    """The expected differences by line: a CSV with at least `difference_minor` and the columns of KEY.

    Raises:
        ExpectationError: the file is not there, a column is missing, a line is there twice or has no whole number.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ExpectationError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    reader = csv.DictReader(StringIO(content, newline=""))
    missing = [name for name in (*KEY, "difference_minor") if name not in (reader.fieldnames or ())]
    if missing:
        raise ExpectationError(f"{path}: expected the column {missing[0]}, as --csv writes it")
    expected: dict[Key, int] = {}
    for row in reader:
        values = [_without_apostrophe(row[name] or "") for name in KEY]
        key: Key = (values[0], values[1], values[2], values[3], values[4])
        if key in expected:
            raise ExpectationError(f"{path}, line {reader.line_num}: {' '.join(values)} is there twice")
        try:
            expected[key] = int(row["difference_minor"] or "")
        except ValueError:
            raise ExpectationError(
                f"{path}, line {reader.line_num}, difference_minor: expected a whole number of minor units,"
                f" got {row['difference_minor']!r}"
            ) from None
    return expected


def _opened(path: Path, mode: str = "w") -> Any:
    text = {"encoding": "utf-8", "newline": ""} if mode == "w" else {}
    try:
        return path.open(mode, **text)  # type: ignore[call-overload]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return spreadsheet_text(value)
    return str(value) if isinstance(value, int) else f"{value:f}"


def _without_apostrophe(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
