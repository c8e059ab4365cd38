"""What a cell of the customers and usage files may hold, and its canonical spelling.

Here: one rule a field, with the words a user reads when it is broken. Not here: files, lines, SQL, and rules
over more than one row.

Every rule takes the cell's text and returns the canonical text, or raises ValueError whose text completes
"expected …". `plain` is a shortcut for columns of millions: a regular expression (RE2 and Python agree on it)
for spellings that the rule returns unchanged; a test holds one against the other.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from billing_pipeline.core.money import is_currency
from billing_pipeline.core.periods import is_timezone, parse_cycle

Kind = Literal["text", "number", "object", "instant", "date"]
"""What typed formats (JSONL, Parquet) may hold besides text."""

KEY_LENGTH_MAX = 255
NAME_LENGTH_MAX = 256  # Stripe's limit on a customer's name
EMAIL_LENGTH_MAX = 512  # Stripe's limit on a customer's email
WHOLE_DIGITS_MAX = 18
PLACES_MAX = 12

KEY = f"1 to {KEY_LENGTH_MAX} characters without control characters, white space neither first nor last"
DECIMAL = f"a decimal number with at most {PLACES_MAX} places"
LARGE_DECIMAL = f"a decimal number with at most {WHOLE_DIGITS_MAX} digits before the point"
INSTANT = "an instant such as 2026-10-31T23:59:59Z: ISO 8601 with an offset, at most 6 digits of a second"
DIMENSIONS = f'a JSON object of texts such as {{"tier": "basic"}}, each at most {KEY_LENGTH_MAX} characters'
DATE = "a date such as 2026-10-31"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # and halves of a pair, which JSON can write
_PLAIN_DECIMAL = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?$"
_SHORT_DECIMAL = re.compile(_PLAIN_DECIMAL)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INSTANT = re.compile(
    r"(?:19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}[T ]"
    r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
)
_DATE = re.compile(r"(?:19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_STRIPE_CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]{1,250}")


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
    if not 1 <= len(text) <= KEY_LENGTH_MAX or _CONTROL.search(text) or text != text.strip():
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
    if not text.strip():
        return "{}"
    try:
        value = json.loads(text, object_pairs_hook=unique_pairs)
    except (ValueError, RecursionError):
        raise ValueError(DIMENSIONS) from None
    if not isinstance(value, dict) or not all(map(_is_dimension, value, value.values())):
        raise ValueError(DIMENSIONS)
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
    return len(text) <= KEY_LENGTH_MAX and not _CONTROL.search(text)


def name(text: str) -> str:
    """A name to print on an invoice, unchanged."""
    if not text.strip() or len(text) > NAME_LENGTH_MAX or _CONTROL.search(text):
        raise ValueError(f"1 to {NAME_LENGTH_MAX} characters without control characters")
    return text


def email(text: str) -> str:
    """One e-mail address; whether it exists only a message can tell."""
    if len(text) > EMAIL_LENGTH_MAX or not _EMAIL.fullmatch(text) or _CONTROL.search(text):
        raise ValueError("an e-mail address such as billing@example.com")
    return text


def currency(text: str) -> str:
    """A currency that Stripe charges, in lower case."""
    if not is_currency(text.lower()):
        raise ValueError("an ISO 4217 currency code that Stripe charges, such as usd")
    return text.lower()


def timezone(text: str) -> str:
    """A zone of the IANA database."""
    if not is_timezone(text):
        raise ValueError("a time zone of the IANA database such as Europe/Berlin")
    return text


def billing_cycle(text: str) -> str:
    """The canonical spelling of a cycle; blank is calendar months. That N days need an anchor is a row's rule."""
    try:
        return parse_cycle(text, date.min).text
    except ValueError:
        raise ValueError("calendar_month or 1 to 366 days such as 30_days") from None


def cycle_anchor(text: str) -> str:
    """A date from year 1900 to 2999, or blank."""
    if not text:
        return ""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(DATE) from None


def stripe_customer_id(text: str) -> str:
    """The customer at Stripe, or blank."""
    if text and not _STRIPE_CUSTOMER.fullmatch(text):
        raise ValueError("a Stripe customer such as cus_NffrFeUfNV2Hib, or blank")
    return text


_PLAIN_KEY = r"^[!-~]([ -~]*[!-~])?$"
# Days that exist in every year: 29 February takes the slow way.
_PLAIN_DAY = r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
_PLAIN_INSTANT = (
    rf"^(19|20)[0-9][0-9]-{_PLAIN_DAY}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
)

USAGE_FIELDS = (
    Field("event_id", key, plain=_PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("customer_id", key, plain=_PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("meter", key, plain=_PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("dimensions", dimensions, kind="object", required=False),
    Field("quantity", quantity, kind="number", plain=_PLAIN_DECIMAL),
    Field("occurred_at", instant, kind="instant", plain=_PLAIN_INSTANT),
)
"""The usage file. Only `dimensions` may be absent or blank."""

CUSTOMER_FIELDS = (
    Field("customer_id", key, plain=_PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("name", name),
    Field("email", email),
    Field("currency", currency),
    Field("timezone", timezone),
    Field("billing_cycle", billing_cycle, required=False),
    Field("cycle_anchor", cycle_anchor, kind="date", required=False),
    Field("stripe_customer_id", stripe_customer_id, required=False),
)
"""The customers file. The last three may be absent or blank."""
