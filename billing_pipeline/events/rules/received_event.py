r"""An event of Stripe's as it arrived: what its bytes say, tolerant of anything that a valid signature can cover.

A signed body is never refused for what is in it: `\u0000`, NaN, lone surrogates, doubled keys, or no JSON at all. What
cannot go into a text column is left out, and a body without a usable id gets one derived from its bytes. Whether the
event means anything is decided when it is processed.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

UNREADABLE = "unreadable"
"""Type of an event whose body names none that can be stored."""

_NAME = re.compile(r"[!-~]{1,255}")
_LONGEST_INTEGER = 64
_CREATED_MAX = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """The bytes of an event and the columns that are read from them."""

    event_id: str
    type: str
    object_id: str | None
    created: datetime | None
    """By Stripe's clock, in whole seconds."""
    livemode: bool | None
    account: str | None
    """The connected account; None for one's own."""
    api_version: str | None
    body: bytes = field(repr=False)
    body_sha256: bytes = field(repr=False)
    content_sha256: bytes = field(repr=False)
    """Equal for two deliveries of one event, however they are spaced: of the parsed body without `pending_webhooks`,
    which counts down between deliveries (https://docs.stripe.com/api/events/object)."""


def parse_event(body: bytes) -> ReceivedEvent:
    """Read a body. Never fails: see the module."""
    digest = sha256(body).digest()
    try:
        event = read_json(body)
        content = sha256(_canonical(event)).digest()
    except (ValueError, RecursionError):
        event, content = {}, digest
    data = event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    livemode = event.get("livemode")
    return ReceivedEvent(
        event_id=_name(event.get("id")) or f"{UNREADABLE}_{digest.hex()}",
        type=_name(event.get("type")) or UNREADABLE,
        object_id=_name(about.get("id")) if isinstance(about, dict) else None,
        created=_instant(event.get("created")),
        livemode=livemode if isinstance(livemode, bool) else None,
        account=_name(event.get("account")),
        api_version=_name(event.get("api_version")),
        body=body,
        body_sha256=digest,
        content_sha256=content,
    )


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; of a doubled key the last value counts, an integer of absurd length becomes text.

    Raises:
        ValueError: it is no UTF-8, no JSON or no object.
        RecursionError: it is nested too deeply.
    """
    event = json.loads(body.decode("utf-8"), parse_int=_integer)
    if not isinstance(event, dict):
        raise ValueError(f"expected a JSON object, got {type(event).__name__}")
    return event


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


def _canonical(event: dict[str, Any]) -> bytes:
    content = {key: value for key, value in event.items() if key != "pending_webhooks"}
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def _instant(value: object) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _CREATED_MAX:
        return datetime.fromtimestamp(value, UTC)
    return None
