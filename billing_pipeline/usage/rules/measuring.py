"""Usage -> quantity, one series and period at a time: sql/usage/usage_snapshots.sql's rules once more, in Python.

Here: what the events of a billed line add up to, for whoever checks it. Not here: bulk; the pipeline measures in SQL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

_PLACE = Fraction(1, 10**12)
_TICK = timedelta(microseconds=1)
_KNOWN = ("constant", "sum", "count", "unique", "last", "max", "time_weighted")


@dataclass(frozen=True, slots=True)
class Counted:
    """An event that counts: received until the cut-off, and not corrected until then.

    `value`: of the property that `unique` counts; None where the event has none, and counts nothing.
    """

    quantity: Decimal
    occurred_at: datetime
    value: str | None = None


def measure(
    events: Sequence[Counted], aggregation: str, start: datetime, end: datetime, opening: Decimal | None = None
) -> Decimal | None:
    """The quantity of the half-open period `[start, end)`; None if there is nothing to measure.

    `events` are those of the period and, for levels, at least the last one before it, in order of effect: where several
    have the same instant, the last one counts. A mean over time is rounded to 12 places, half away from zero.
    `aggregation` as a snapshot records it: `unique of PROPERTY`, and `last of deltas` where an event says by how much
    the level changes; `opening` is the level at the start then, or None if the events are all that there ever were.

    Raises:
        ValueError: an aggregation that does not exist.
    """
    own = [event for event in events if start <= event.occurred_at < end]
    before = [event for event in events if event.occurred_at < start]
    if aggregation == "constant":
        return Decimal(1)
    if aggregation == "sum":
        return _decimal(sum((Fraction(event.quantity) for event in own), Fraction(0))) if own else None
    if aggregation == "count":
        return Decimal(len(own)) if own else None
    if aggregation.startswith("unique"):
        named = {event.value for event in own if event.value is not None}
        return Decimal(len(named)) if named else None
    aggregation, _, deltas = aggregation.partition(" of ")
    if deltas:
        before, own = _levels(before, own, start, opening)
    if aggregation == "last":
        known = [*before, *own]
        return known[-1].quantity if known else None
    if aggregation not in ("max", "time_weighted"):
        raise ValueError(f"aggregation {aggregation!r} is none of {', '.join(_KNOWN)}")
    changes = [(start, before[-1].quantity)] if before else []
    changes += [(event.occurred_at, event.quantity) for event in own]
    if not changes:
        return None
    untils = [since for since, _ in changes[1:]] + [end]
    # a level that is replaced at the same instant was never in force
    held = [
        (_elapsed(since, until), level) for (since, level), until in zip(changes, untils, strict=True) if until > since
    ]
    if not held:
        return None
    if aggregation == "max":
        return max(level for _, level in held)
    integral = sum((Fraction(length // _TICK) * Fraction(level) for length, level in held), Fraction(0))
    mean = integral / (_elapsed(start, end) // _TICK)
    steps, rest = divmod(abs(mean), _PLACE)
    rounded = (steps + (2 * rest >= _PLACE)) * _PLACE
    return _decimal(rounded if mean >= 0 else -rounded)


def _levels(
    before: Sequence[Counted], own: Sequence[Counted], start: datetime, opening: Decimal | None
) -> tuple[list[Counted], list[Counted]]:
    """Changes as the levels that they lead to: that at the start, and those of the period."""
    level = Fraction(opening) if opening is not None else sum((Fraction(e.quantity) for e in before), Fraction(0))
    first = Counted(_decimal(level), start - _TICK)
    levels = []
    for event in own:
        level += Fraction(event.quantity)
        levels.append(Counted(_decimal(level), event.occurred_at))
    return [first], levels


def _elapsed(since: datetime, until: datetime) -> timedelta:
    # within one zone Python subtracts what the clocks on the wall show, which jump twice a year
    return until.astimezone(UTC) - since.astimezone(UTC)


def _decimal(value: Fraction) -> Decimal:
    """Exact: a context of 28 digits would round large sums."""
    scaled = value / _PLACE
    sign, digits, _ = Decimal(scaled.numerator // scaled.denominator).as_tuple()
    return Decimal((sign, digits, -12))
