"""From what was used so far to what a period will have used at its end. Pure.

Levels hold on until another event changes them, which measuring the whole period says already. What is summed up goes
on at the pace of the last days: of 7, so that a whole week is in it, and of 28, which one busy week does not move.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

PACE_DAYS = (7, 28)
"""Lengths of the two looks back, in days."""
SUMMED = frozenset({"sum", "count"})
"""Aggregations that grow with time; all others are levels, or the same in any period."""
PLACES_MAX = 12

_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


def look_back(until: datetime, days: int, first_usage_at: datetime | None) -> datetime:
    """Where a look back over `days` begins: not before the customer's first usage, for it was no customer before.

    At least a day long, or an hour of somebody new would be taken for their ways.
    """
    begins = until - timedelta(days=days)
    if first_usage_at is not None:
        begins = max(begins, first_usage_at)
    return min(begins, until - _DAY)


def projected_sum(
    known: Decimal, so_far: Decimal, in_look_back: Decimal, look_back_length: timedelta, remaining: timedelta
) -> Decimal:
    """What a sum will be at the period's end: what there is, and the pace for as long as the period goes on.

    Args:
        known: all of the period that is known, also of what lies ahead of the feed. The result is never less.
        so_far: of the period, up to where the feed is complete.
        in_look_back: of the look back, whichever periods it lies in.
        look_back_length: how long that is.
        remaining: from where the feed is complete to the period's end.

    Returns:
        A quantity with no more places than its parts have, so that whole calls stay whole; half away from zero.
    """
    ahead = Fraction(in_look_back) * (remaining // _TICK) / (look_back_length // _TICK)
    places = min(max(_places(known), _places(so_far), _places(in_look_back)), PLACES_MAX)
    whole, rest = divmod(abs(ahead) * 10**places, 1)
    rounded = int(whole) + (2 * rest >= 1)
    return max(known, so_far + Decimal(rounded if ahead >= 0 else -rounded).scaleb(-places))


def days_until(start_date: date, end_date: date, today: date) -> date:
    """The day before which a period ends that ends now: a day that has begun counts, as a contract's last day does."""
    return min(end_date, max(today, start_date) + _DAY)


def _places(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0
