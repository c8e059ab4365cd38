"""One parameter's value, from the string of a form to int, bool, Decimal or hash, with Stripe's refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

from .errors import invalid
from .forms import Raw

Check = Callable[[Raw, str], Any]

_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,20}(\.\d+)?", re.ASCII)
DECIMAL_PLACES_MAX = 12
METADATA_KEYS_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX = 50, 40, 500
STRING_MAX = 5_000


def string_hash(raw: Raw, path: str) -> dict[str, str]:
    """A hash of strings."""
    if not isinstance(raw, dict):
        raise invalid("Invalid hash", param=path)
    return {key: string(value, f"{path}[{key}]") for key, value in raw.items()}


def metadata(raw: Raw, path: str) -> dict[str, str] | Literal[""]:
    """Limits of https://docs.stripe.com/api/metadata; unsetting happens where the old metadata is known."""
    if raw == "":
        return ""
    values = string_hash(raw, path)
    if len(values) > METADATA_KEYS_MAX:
        raise invalid(f"Metadata can have at most {METADATA_KEYS_MAX} keys.", param=path)
    for key, value in values.items():
        if len(key) > METADATA_KEY_MAX:
            raise invalid(
                f"Metadata keys must be at most {METADATA_KEY_MAX} characters. '{key}' has {len(key)}.",
                param=path,
            )
        if len(value) > METADATA_VALUE_MAX:
            raise invalid(
                f"Metadata values can have up to {METADATA_VALUE_MAX} characters, but you passed in a "
                f"value that is {len(value)} characters. Invalid value: {value}",
                param=f"{path}[{key}]",
            )
    return values


def string(raw: Raw, path: str) -> str:
    """A text; the empty one unsets a parameter."""
    if not isinstance(raw, str):
        raise invalid("Invalid string", param=path)
    if len(raw) > STRING_MAX:
        raise invalid(f"Invalid string: must be at most {STRING_MAX} characters", param=path)
    return raw


def not_empty(raw: Raw, path: str, kind: str) -> str:
    """A text that may not be empty; ``kind`` is what Stripe calls the type."""
    if not isinstance(raw, str):
        raise invalid(f"Invalid {kind}", param=path)
    if raw == "":
        raise invalid(
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a "
            f"parameter; however '{path}' cannot be unset. You should remove '{path}' from your request or "
            "supply a non-empty value.",
            code="parameter_invalid_empty",
            param=path,
        )
    return raw


def enum(values: list[str]) -> Check:
    """The check of a closed list of values."""

    def check_enum(raw: Raw, path: str) -> str:
        text = not_empty(raw, path, "string")
        if text not in values:
            allowed = " or ".join([", ".join(values[:-1]), values[-1]]) if len(values) > 1 else values[0]
            raise invalid(f"Invalid {path}: must be one of {allowed}", param=path)
        return text

    return check_enum


def integer(raw: Raw, path: str) -> int:
    """A whole number of at most 18 digits."""
    text = not_empty(raw, path, "integer")
    if not _INTEGER.fullmatch(text):
        raise invalid(f"Invalid integer: {text}", code="parameter_invalid_integer", param=path)
    return int(text)


def boolean(raw: Raw, path: str) -> bool:
    """``true`` or ``false``."""
    text = not_empty(raw, path, "boolean")
    if text not in {"true", "false"}:
        raise invalid(f"Invalid boolean: {text}", param=path)
    return text == "true"


def decimal(raw: Raw, path: str) -> Decimal:
    """A plain decimal with at most 12 places."""
    text = not_empty(raw, path, "decimal")
    if not _DECIMAL.fullmatch(text):
        raise invalid(f"Invalid decimal: {text}; must contain only digits and at most one point", param=path)
    if len(text.partition(".")[2]) > DECIMAL_PLACES_MAX:
        raise invalid(
            f"Invalid decimal: {text}; must contain at maximum {DECIMAL_PLACES_MAX} decimal places.",
            param=path,
        )
    return Decimal(text)


def floating(raw: Raw, path: str) -> float:
    """A decimal, as the float that the SDK's type asks for."""
    return float(decimal(raw, path))
