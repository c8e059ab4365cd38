"""Whether an hour's usage is unusual: against the median of the same hour of the same weekday, in spreads. Pure.

Ratios are compared: a drop to a tenth weighs as much as ten times as much. Floats, because nothing is billed by it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log, sqrt

WEEKS = 8
"""Weeks before the hour that it is compared with."""
NEIGHBOURS = (0, -1, 1, -2, 2)
"""Hours of each of these weeks that are looked at: the same, and those beside it."""
WEEKS_MIN = 4
"""With fewer, nobody knows what is usual."""
SPREADS = 6.0
"""From so many spreads on it is unusual."""
SPREAD_MIN = 0.18
"""The spread is at least so much of a ratio: a curve that hardly moves is no alarm when it does move a little."""
AS_STANDARD_DEVIATION = 1.4826
"""Times the median absolute deviation: the standard deviation of what is normally distributed."""
EVENTS_MIN = 15
"""It is made of at least so many events more or less than usual."""
LEAST = 0.02
"""Less than this share of the usual counts as this share: the logarithm of nothing has no end."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Usage of one hour: its quantity, and how many events it is made of."""

    quantity: float
    events: int


@dataclass(frozen=True, slots=True)
class Unusual:
    """`usual`: the median quantity; `spreads`: how far from it, below 0 for a drop."""

    usual: float
    spreads: float


def unusual(hour: Hour, before: Sequence[Sequence[Hour]]) -> Unusual | None:
    """What is unusual about an hour; None: nothing, or nobody knows.

    Args:
        hour: the one that is judged.
        before: a week an item, the newest first: the same hour, then its neighbours, which say how much such hours
            vary. Weeks before the first usage are left out.
    """
    weeks = _since_first_usage(before[:WEEKS])
    if len(weeks) < WEEKS_MIN:
        return None
    usual = _median(week[0].quantity for week in weeks)
    events = _median(week[0].events for week in weeks)
    if usual <= 0 or abs(hour.events - events) < EVENTS_MIN:
        return None
    deviations = [deviation for hours in zip(*weeks, strict=True) for deviation in _deviations(hours)]
    spread = max(
        AS_STANDARD_DEVIATION * _median(map(abs, deviations)),
        SPREAD_MIN,
        1 / sqrt(max(events, 1)),  # so much a count varies by chance
    )
    spreads = log(max(hour.quantity / usual, LEAST)) / spread
    return Unusual(usual, spreads) if abs(spreads) >= SPREADS else None


def _deviations(hours: Sequence[Hour]) -> list[float]:
    """How far the weeks are from their median, as logarithms of ratios; an hour that is usually quiet says nothing."""
    middle = _median(one.quantity for one in hours)
    return [log(max(one.quantity / middle, LEAST)) for one in hours] if middle > 0 else []


def _since_first_usage(weeks: Sequence[Sequence[Hour]]) -> Sequence[Sequence[Hour]]:
    used = [number for number, week in enumerate(weeks) if any(one.quantity > 0 for one in week)]
    return weeks[: used[-1] + 1] if used else ()


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[-middle - 1]) / 2
