"""What a cell of a file may hold, and its canonical spelling: the rules that files have in common.

Here: one rule a kind of field, with the words that a user reads when it is broken. Not here: which columns a file has
(customers/rules/fields.py, usage/rules/fields.py), and rules over more than one row.

Every rule takes the cell's text and returns the canonical text, or raises ValueError whose text completes
"expected …". `plain` is a shortcut for columns of millions: a regular expression (RE2 and Python agree on it)
for spellings that the rule returns unchanged; a test holds one against the other.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from billing_pipeline.core.texts import CONTROL, has_unseen_ends

Kind = Literal["text", "number", "object", "instant", "date"]
"""What typed formats (JSONL, Parquet) may hold besides text."""

KEY_LENGTH_MAX = 255
WHOLE_DIGITS_MAX = 18
PLACES_MAX = 12

KEY = f"1 to {KEY_LENGTH_MAX} characters without control characters, white space neither first nor last"
DECIMAL = f"a decimal number with at most {PLACES_MAX} places"
LARGE_DECIMAL = f"a decimal number with at most {WHOLE_DIGITS_MAX} digits before the point"
INSTANT = "an instant such as 2026-10-31T23:59:59Z: ISO 8601 with an offset, at most 6 digits of a second"
DIMENSIONS = f'a JSON object of texts such as {{"tier": "basic"}}, each at most {KEY_LENGTH_MAX} characters'
PROPERTIES = f'a JSON object of texts such as {{"user": "u-17"}}, each at most {KEY_LENGTH_MAX} characters'

PLAIN_DECIMAL = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?$"
_SHORT_DECIMAL = re.compile(PLAIN_DECIMAL)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INSTANT = re.compile(
    r"(?:19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}[T ]"
    r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
)


@dataclass(frozen=True)
class Field:
    """A column of a file: its name, its rule, and whether the file must have it."""

    name: str
    rule: Callable[[str], str]
    kind: Kind = "text"
    required: bool = True
    plain: str | None = None
    plain_length_max: int = 2**31 - 1


def key(text: str) -> str:
    """An identifier of the platform, unchanged."""
    if not 1 <= len(text) <= KEY_LENGTH_MAX or CONTROL.search(text) or has_unseen_ends(text):
        raise ValueError(KEY)
    return text


def quantity(text: str) -> str:
    """An exact decimal with at most 18 digits before the point and 12 after it, never rounded.

    Counts its value, not its spelling: 1e3 and 1.0000000000000 pass. Returned without an exponent.
    """
    if _SHORT_DECIMAL.fullmatch(text):
        return text
    if len(text) > 1000 or not _DECIMAL.fullmatch(text):
        raise ValueError(DECIMAL)
    number = Decimal(text)
    if not number:
        return "0"
    if number.adjusted() >= WHOLE_DIGITS_MAX:
        raise ValueError(LARGE_DECIMAL)
    plain = f"{number:f}"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    if len(plain.partition(".")[2]) > PLACES_MAX:
        raise ValueError(DECIMAL)
    return plain


def instant(text: str) -> str:
    """An instant with its offset, from year 1900 to 2999, unchanged: Postgres reads the same spellings."""
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(INSTANT) from None
    return text


def dimensions(text: str) -> str:
    """A JSON object with text values, compact and sorted by name; blank is an object without names."""
    return _texts(text, DIMENSIONS)


def properties(text: str) -> str:
    """As `dimensions`."""
    return _texts(text, PROPERTIES)


def _texts(text: str, expected: str) -> str:
    if not text.strip():
        return "{}"
    try:
        value = json.loads(text, object_pairs_hook=unique_pairs)
    except (ValueError, RecursionError):
        raise ValueError(expected) from None
    if not isinstance(value, dict) or not all(map(_is_dimension, value, value.values())):
        raise ValueError(expected)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; a name given twice is an error, or the first value would vanish unseen."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a JSON object with each name once")
    return found


def _is_dimension(name: str, value: object) -> bool:
    return bool(name) and isinstance(value, str) and _is_short_text(name) and _is_short_text(value)


def _is_short_text(text: str) -> bool:
    return len(text) <= KEY_LENGTH_MAX and not CONTROL.search(text)


PLAIN_KEY = r"^[!-~]([ -~]*[!-~])?$"
# Days that exist in every year: 29 February takes the slow way.
_PLAIN_DAY = r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
PLAIN_INSTANT = (
    rf"^(19|20)[0-9][0-9]-{_PLAIN_DAY}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
)
