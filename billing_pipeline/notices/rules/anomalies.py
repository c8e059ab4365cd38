"""Whether an hour's usage or a month's amount is unusual: against the median of those before, in spreads. Pure.

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
MONTHS = 8
"""Months before the month that its amount is compared with; with fewer than MONTHS_MIN, nobody knows what is usual."""
MONTHS_MIN = 4
AMOUNT_SPREADS = 5.0
"""From so many spreads on an amount is unusual."""
AMOUNT_SPREAD_MIN = 0.15
"""As SPREAD_MIN: where each month is like the other, 2.1 times as much is unusual, or 0.47 times."""
AMOUNT_MIN_MINOR = 1000
"""It is so much more or less than usual: nobody is called for a few cents."""


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


def unusual_amount(amount_minor: int, days: int, before: Sequence[float]) -> Unusual | None:
    """What is unusual about what a month comes to; None: nothing, or nobody knows. `usual` is for as many days.

    Args:
        amount_minor: the month's amount.
        days: how many days it bills: a month in which a contract begins or ends is no drop.
        before: what each month before came to a day, the newest first. Months before the first amount are left out.
    """
    months = list(before[:MONTHS])
    while months and months[-1] <= 0:
        months.pop()
    if len(months) < MONTHS_MIN:
        return None
    usual = _median(months) * days
    if usual <= 0 or abs(amount_minor - usual) < AMOUNT_MIN_MINOR:
        return None
    deviations = (abs(log(max(one * days / usual, LEAST))) for one in months)
    spread = max(AS_STANDARD_DEVIATION * _median(deviations), AMOUNT_SPREAD_MIN)
    spreads = log(max(amount_minor / usual, LEAST)) / spread
    return Unusual(usual, spreads) if abs(spreads) >= AMOUNT_SPREADS else None


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
