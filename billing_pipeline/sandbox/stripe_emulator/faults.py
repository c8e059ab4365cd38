"""Faults on request: rules in the database, and a seeded decision per call.

Carrying them out is the work of `dispatch` and `delivery`.

A rule (JSON, see `parse`):

- ``kind``: one of `KINDS`;
- ``operation``: which calls, for example ``POST /v1/invoices/*/pay``; ``*`` stands for one path segment,
  ``**`` for anything (the default). For webhook faults an event type, for example ``invoice.*``;
- ``rate`` (1.0): the share of matching calls it hits, drawn from ``seed``;
- ``times``: after so many hits the rule rests; ``skip`` (0): so many matching calls pass first;
- ``latency_ms`` (latency), ``copies`` (webhook_duplicate), ``delay_s`` (webhook_delay; for
  webhook_reorder the longest of random delays).
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from .errors import invalid
from .store import dumps

CALL_KINDS = (
    "latency",
    "rate_limit",
    "error_500_without_effect",
    "error_500_with_effect",
    "drop_before_effect",
    "drop_after_effect",
    "expire_key",
)
WEBHOOK_KINDS = ("webhook_duplicate", "webhook_reorder", "webhook_delay")
KINDS = CALL_KINDS + WEBHOOK_KINDS
_DEFAULTS: dict[str, Any] = {
    "operation": "**",
    "rate": 1.0,
    "times": None,
    "skip": 0,
    "seed": None,
    "latency_ms": 100,
    "delay_s": 5.0,
    "copies": 1,
}


@dataclass(slots=True)
class Hit:
    """What the faults do to one call: a wait, a forgotten key, and at most one disaster."""

    latency_s: float = 0.0
    expire_key: bool = False
    disaster: str | None = None
    fired: list[str] = field(default_factory=list)


NONE = Hit()


def parse(rule: Any) -> dict[str, Any]:
    """A complete rule, or a 400 that names what is wrong."""
    if not isinstance(rule, dict) or rule.get("kind") not in KINDS:
        raise invalid(f"A fault needs a `kind`, one of {', '.join(KINDS)}.", param="kind")
    unknown = set(rule) - set(_DEFAULTS) - {"kind"}
    if unknown:
        raise invalid(f"Unknown field in a fault: {min(unknown)}", param=min(unknown))
    complete = _DEFAULTS | rule
    for name in ("rate", "skip", "latency_ms", "delay_s", "copies"):
        if not isinstance(complete[name], int | float) or complete[name] < 0:
            raise invalid(f"`{name}` must be a number that is not negative.", param=name)
    if complete["rate"] > 1:
        raise invalid("`rate` is a share between 0 and 1.", param="rate")
    if complete["times"] is not None and (not isinstance(complete["times"], int) or complete["times"] < 1):
        raise invalid("`times` must be a positive integer or null.", param="times")
    if not isinstance(complete["operation"], str):
        raise invalid("`operation` must be a string.", param="operation")
    return complete


def add(connection: sqlite3.Connection, rules: list[Any], seed: int) -> list[int]:
    """Store rules; the ones without a seed of their own take the emulator's."""
    complete = [parse(rule) for rule in rules]
    ids = []
    for rule in complete:
        if rule["seed"] is None:
            rule["seed"] = seed
        cursor = connection.execute("INSERT INTO faults(rule) VALUES (?)", (dumps(rule),))
        ids.append(int(cursor.lastrowid or 0))
    return ids


def listed(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """All rules with how many calls each has seen and hit."""
    rows = connection.execute("SELECT fault_id, rule, seen, fired FROM faults ORDER BY fault_id")
    return [{"id": i, **json.loads(rule), "seen": seen, "fired": fired} for i, rule, seen, fired in rows]


def clear(connection: sqlite3.Connection, fault_id: int | None = None) -> None:
    """Remove one rule, or all."""
    if fault_id is None:
        connection.execute("DELETE FROM faults")
    else:
        connection.execute("DELETE FROM faults WHERE fault_id = ?", (fault_id,))


def active(connection: sqlite3.Connection) -> bool:
    """Whether any rule exists; most of the time none does, and a call needn't decide anything."""
    return connection.execute("SELECT 1 FROM faults LIMIT 1").fetchone() is not None


def decide(connection: sqlite3.Connection, operation: str) -> Hit:
    """What happens to this call; counts what was seen and hit, so use it once a call, in a transaction."""
    hit = Hit()
    for rule in _fired(connection, operation, CALL_KINDS, hit):
        kind = rule["kind"]
        hit.fired.append(kind)
        if kind == "latency":
            hit.latency_s += rule["latency_ms"] / 1000
        elif kind == "expire_key":
            hit.expire_key = True
        else:
            hit.disaster = kind
    return hit


def webhook_rules(connection: sqlite3.Connection, event_type: str) -> list[dict[str, Any]]:
    """The webhook faults that hit this delivery."""
    return _fired(connection, event_type, WEBHOOK_KINDS, None)


def _fired(
    connection: sqlite3.Connection, subject: str, kinds: tuple[str, ...], hit: Hit | None
) -> list[dict[str, Any]]:
    fired: list[dict[str, Any]] = []
    struck = False
    for rule in listed(connection):
        if rule["kind"] not in kinds or not _pattern(rule["operation"]).fullmatch(subject):
            continue
        exclusive = hit is not None and rule["kind"] not in {"latency", "expire_key"}
        if (exclusive and struck) or (rule["times"] is not None and rule["fired"] >= rule["times"]):
            continue
        draw = random.Random(f"{rule['seed']}:{rule['id']}:{rule['seen']}").random()  # noqa: S311 - a repeatable die
        fires = rule["seen"] >= rule["skip"] and draw < rule["rate"]
        connection.execute(
            "UPDATE faults SET seen = seen + 1, fired = fired + ? WHERE fault_id = ?",
            (int(fires), rule["id"]),
        )
        if fires:
            struck = struck or exclusive
            fired.append(rule)
    return fired


@lru_cache(maxsize=256)
def _pattern(operation: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", operation)
    return re.compile("".join({"**": ".*", "*": "[^/]+"}.get(part, re.escape(part)) for part in parts))
