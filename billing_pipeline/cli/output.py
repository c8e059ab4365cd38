"""What commands print: aligned tables for people, and JSON in the shape of `core/shapes.py`. Not here: which rows."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from billing_pipeline.core.money import format_minor
from billing_pipeline.core.shapes import plain, shaped

Row = Mapping[str, Any]


def print_json(value: Any) -> None:
    """One JSON document, for other programs."""
    click.echo(json.dumps(shaped(value), indent=2, ensure_ascii=False))


def print_rows(name: str, rows: Sequence[Row], *, as_json: bool, empty: str, columns: Sequence[str] = ()) -> None:
    """A list: `{name: rows}` as JSON, else a table of these columns (all, if none is named)."""
    if as_json:
        print_json({name: list(rows)})
        return
    if columns:
        rows = [{column: row[column] for column in (*columns, "currency") if column in row} for row in rows]
    table(rows, empty)


def table(rows: Sequence[Row], empty: str) -> None:
    """Aligned columns; amounts in minor units are written out in their currency and end at the same place."""
    if not rows:
        click.echo(empty)
        return
    written = [
        {_heading(name): _cell(name, value, row) for name, value in row.items() if name != "currency"} for row in rows
    ]
    right = {_heading(name) for name, value in rows[0].items() if name.endswith("_minor")}
    widths = {name: max(len(name), *(len(row[name]) for row in written)) for name in written[0]}
    for row in [{name: name for name in widths}, *written]:
        cells = (
            value.rjust(widths[name]) if name in right else value.ljust(widths[name]) for name, value in row.items()
        )
        click.echo("  ".join(cells).rstrip())


def _heading(name: str) -> str:
    return "month" if name == "billing_month" else name.removesuffix("_minor")


def _cell(name: str, value: Any, row: Row) -> str:
    if value is None:
        return ""
    if name.endswith("_minor"):
        return format_minor(value, row["currency"])
    if name == "billing_month":
        return f"{value:%Y-%m}"
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Mapping):
        return ", ".join(str(each) for each in value.values())
    return str(value)


def facts(pairs: Sequence[tuple[str, Any]]) -> None:
    """What one thing is: a name and a value a line, the values aligned."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name:<{width}}  {value}".rstrip())


def instant(value: datetime | None) -> str:
    """For people: to the second, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if value is not None else ""
