"""The JSON that commands and the API show, whose shape docs/commands.md promises. Not here: which rows.

An amount is `{"amount_minor", "currency", "display"}` under its name without `_minor`, a billing month is `2026-10`, an
instant ISO 8601 in UTC, an exact number a text.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from billing_pipeline.core.money import format_minor

AS_STORED = {"state_before", "state_after", "evidence", "dimensions"}
"""Keys whose values are JSON that the database keeps: they go out unchanged."""


def shaped(value: Any, currency: str | None = None) -> Any:
    """The value as JSON has it. Amounts take the currency of the mapping that they stand in, or of the one around."""
    if value is None or isinstance(value, str | int):  # most are: asked first
        return value
    if isinstance(value, Mapping):
        own = value.get("currency") or currency
        return dict(_field(str(name), each, own) for name, each in value.items())
    if isinstance(value, list | tuple):
        return [shaped(each, currency) for each in value]
    if isinstance(value, datetime):
        # always with microseconds, so that instants sort as texts
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return plain(value)
    return str(value)


def _field(name: str, value: Any, currency: str | None) -> tuple[str, Any]:
    if name in AS_STORED:
        return name, value
    if name == "billing_month":
        return "month", None if value is None else f"{value:%Y-%m}"
    if name.endswith("_minor") and currency is not None:
        return name.removesuffix("_minor"), None if value is None else _amount(value, currency)
    return name, shaped(value, currency)


def _amount(amount_minor: int, currency: str) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency, "display": format_minor(amount_minor, currency)}


def plain(number: Decimal) -> str:
    """An exact number without zeros at its end."""
    shown = f"{number:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
