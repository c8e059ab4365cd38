"""The JSON that commands and the API show, whose shape docs/commands.md promises. Not here: which rows.

An amount is `{"amount_minor", "currency", "display"}` under its name without `_minor`, a billing month is `2026-10`, an
instant ISO 8601 in UTC, an exact number a text.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from billing_pipeline.core.money import format_minor

AS_STORED = {"state_before", "state_after", "evidence", "dimensions"}
"""Keys whose values are JSON that the database keeps: they go out unchanged."""


def shaped(value: Any, currency: str | None = None) -> Any:
    """The value as JSON has it. Amounts take the currency of the mapping that they stand in, or of the one around."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return _fields(value, value.get("currency") or currency)
    if isinstance(value, list | tuple):
        return [shaped(each, currency) for each in value]
    as_text = next((as_text for kind, as_text in _TEXTS.items() if isinstance(value, kind)), str)
    return as_text(value)


def _fields(row: Mapping[Any, Any], currency: str | None) -> dict[str, Any]:
    """One loop without a call for most values: answers are made of thousands of them."""
    shown: dict[str, Any] = {}
    for key, value in row.items():
        name, is_plain = _name_and_kind(key)
        kind = type(value)
        if is_plain:
            if kind in _AS_IT_IS:
                shown[name] = value
            elif kind in _TEXTS:
                shown[name] = _TEXTS[kind](value)
            else:
                shown[name] = shaped(value, currency)
        elif name in AS_STORED:
            shown[name] = value
        elif name == "billing_month":
            shown["month"] = None if value is None else value.isoformat()[:7]
        elif currency is not None:
            shown[name.removesuffix("_minor")] = None if value is None else _amount(value, currency)
        else:
            shown[name] = value if kind in _AS_IT_IS else shaped(value, currency)
    return shown


@lru_cache(maxsize=4096, typed=True)
def _name_and_kind(key: Any) -> tuple[str, bool]:
    """The key as a text, and whether its value goes by its type alone: rows by the hundred have the same keys."""
    name = str(key)
    return name, not (name in AS_STORED or name == "billing_month" or name.endswith("_minor"))


def _amount(amount_minor: int, currency: str) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency, "display": format_minor(amount_minor, currency)}


def _instant(value: datetime) -> str:
    """Always with microseconds, so that instants sort as texts."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain(number: Decimal) -> str:
    """An exact number without zeros at its end."""
    shown = f"{number:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


_AS_IT_IS = frozenset({str, int, bool, type(None)})
# an instant is a date too: it comes first
_TEXTS: Mapping[type, Callable[[Any], str]] = {datetime: _instant, date: date.isoformat, Decimal: plain}
