"""When a notice goes out, and when it is tried again. Pure; times are given."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
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
        "payment_method_expiring",
    }
)
"""Kinds that nobody is mailed about outside of the customer's hours."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When mails come that can wait, in the customer's zone: from `begins` on, and before `ends`."""

    begins: time
    ends: time
    on_weekends: bool = False

    @property
    def lasts(self) -> timedelta:
        """How long; below zero: it ends before it begins."""
        return datetime.combine(date.min, self.ends) - datetime.combine(date.min, self.begins)


OFFICE = Hours(time(8), time(18))
"""Where nobody chose others."""


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """When a notice that was not taken is tried again; None: it is given up. `attempts`: how many there were."""
    return now + WAITS[attempts - 1] if attempts <= len(WAITS) else None


def not_before(kind: str, now: datetime, timezone: str, hours: Hours = OFFICE) -> datetime:
    """`now`, or for what can wait the next instant within the hours of the customer."""
    return working_hours(now, timezone, hours) if kind in CAN_WAIT else now


def working_hours(now: datetime, timezone: str, hours: Hours = OFFICE) -> datetime:
    """`now`, or the next instant there that lies within the hours: 8 to 18 o'clock, Monday to Friday, or others."""
    local = now.astimezone(ZoneInfo(timezone))

    def open_on(day: date) -> bool:
        return hours.on_weekends or day.weekday() < 5

    day = local.date()
    if open_on(day) and hours.begins <= local.time() < hours.ends:
        return now
    if local.time() >= hours.begins:
        day += timedelta(days=1)
    while not open_on(day):
        day += timedelta(days=1)
    return datetime.combine(day, hours.begins, ZoneInfo(timezone)).astimezone(UTC)
