"""Rows as CSV that a spreadsheet opens without taking a text for a formula (OWASP, CSV injection)."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from billing_pipeline.core.shapes import shaped
from billing_pipeline.core.texts import spreadsheet_text


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A heading and the rows, one by one; instants, days and exact numbers as JSON has them, amounts in minor units."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for row in rows:
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([_cell(row[name]) for name in columns])
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    text = shaped(value)
    return spreadsheet_text(text) if isinstance(value, str) else text
