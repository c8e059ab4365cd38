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


@dataclass(frozen=True, slots=True)
class Counted:
    """An event that counts: received until the cut-off, and not corrected until then."""

    quantity: Decimal
    occurred_at: datetime


def measure(events: Sequence[Counted], aggregation: str, start: datetime, end: datetime) -> Decimal | None:
    """The quantity of the half-open period `[start, end)`; None if there is nothing to measure.

    `events` are those of the period and, for levels, at least the last one before it, in order of effect: where several
    have the same instant, the last one counts. A mean over time is rounded to 12 places, half away from zero.

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
    if aggregation == "last":
        known = [*before, *own]
        return known[-1].quantity if known else None
    if aggregation not in ("max", "time_weighted"):
        raise ValueError(f"aggregation {aggregation!r} is none of constant, sum, count, last, max, time_weighted")
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


def _elapsed(since: datetime, until: datetime) -> timedelta:
    # within one zone Python subtracts what the clocks on the wall show, which jump twice a year
    return until.astimezone(UTC) - since.astimezone(UTC)


def _decimal(value: Fraction) -> Decimal:
    """Exact: a context of 28 digits would round large sums."""
    scaled = value / _PLACE
    sign, digits, _ = Decimal(scaled.numerator // scaled.denominator).as_tuple()
    return Decimal((sign, digits, -12))
