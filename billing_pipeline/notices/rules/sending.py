"""When a notice goes out, and when it is tried again. Pure; times are given."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 3 * 60, 6 * 60, 12 * 60, 24 * 60, 24 * 60))
"""After the first refusal, the second, …: 70 hours in all, then a notice is given up."""

CAN_WAIT = frozenset(
    {
        "payment_due_soon",
        "payment_overdue",
        "final_notice",
        "billing_changed",
        "credits_low",
        "credits_expiring",
        "prices_changing",
        "trial_ending",
    }
)
"""Kinds that nobody is mailed about at night or on a weekend, in the customer's zone."""

DAY_BEGINS, DAY_ENDS = time(8), time(18)


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """When a notice that was not taken is tried again; None: it is given up. `attempts`: how many there were."""
    return now + WAITS[attempts - 1] if attempts <= len(WAITS) else None


def not_before(kind: str, now: datetime, timezone: str) -> datetime:
    """`now`, or the next working morning of the customer for what can wait."""
    return working_hours(now, timezone) if kind in CAN_WAIT else now


def working_hours(now: datetime, timezone: str) -> datetime:
    """`now`, or the next working morning there: 8 to 18 o'clock, Monday to Friday."""
    local = now.astimezone(ZoneInfo(timezone))
    if local.weekday() < 5 and DAY_BEGINS <= local.time() < DAY_ENDS:
        return now
    day = local.date()
    if local.time() >= DAY_BEGINS:
        day += timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return datetime.combine(day, DAY_BEGINS, ZoneInfo(timezone)).astimezone(UTC)
