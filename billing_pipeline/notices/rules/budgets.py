"""Which shares of a budget are told, and which is reached. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from billing_pipeline.core.errors import UserError

DEFAULT_PERCENT = (50, 80, 100)
PERCENT_MAX = 1000
COUNT_MAX = 10


def thresholds(percents: Iterable[int]) -> list[int]:
    """The shares that are told, in percent: each once, the lowest first.

    Raises:
        UserError: there are none, too many, or one is none.
    """
    found = sorted(set(percents))
    if not found or len(found) > COUNT_MAX:
        raise UserError(f"thresholds: expected 1 to {COUNT_MAX} of them, found {len(found)}")
    for percent in found:
        if not 1 <= percent <= PERCENT_MAX:
            raise UserError(f"threshold {percent}: expected a whole number of percent from 1 to {PERCENT_MAX}")
    return found


def highest_reached(so_far: Decimal, limit: Decimal, percents: Sequence[int]) -> int | None:
    """The highest of the shares that is reached, 80 by 80 of 100; None: none is. Lower ones are not told beside it."""
    return max((percent for percent in percents if so_far * 100 >= limit * percent), default=None)
