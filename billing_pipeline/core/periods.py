"""Billing periods: cycles, time zones, and the calendar month a period is billed in.

Here: which half-open intervals a customer is billed for. Not here: who is billed, usage, prices, the clock.

Dates are local dates of the customer's zone, instants are UTC. A period runs from the first instant of its
first date to the first instant of the date after its last; since every period's end is computed exactly as
the next one's start, periods can neither overlap nor leave a gap, whatever the zone's clocks do.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

CALENDAR_MONTH = "calendar_month"
DAYS_DEFAULT = 30
DAYS_MAX = 366

# The canonical spelling is `30_days`; the others are what platforms export.
_DAYS = re.compile(r"(?:fixed_)?(?P<n>[0-9]{1,6})[_ ]?(?:days|d)|days_(?P<m>[0-9]{1,6})|fixed_days|days")

# Files of the tz database that name no place.
_NOT_ZONES = frozenset({"Factory", "localtime", "posixrules"})


@dataclass(frozen=True, slots=True)
class Cycle:
    """How often a customer is billed.

    `days` is None for calendar months, else the length of a period, counted from `anchor` (`anchor + k *
    days`). For calendar months `anchor` is the first billed day, or None if every month is billed.
    """

    days: int | None = None
    anchor: date | None = None

    def __post_init__(self) -> None:
        if self.days is None:
            return
        if not 1 <= self.days <= DAYS_MAX:
            raise ValueError(f"a cycle of {self.days} days: expected 1 to {DAYS_MAX} days")
        if self.anchor is None:
            raise ValueError(f"a cycle of {self.days} days needs a cycle_anchor, the first billed day")

    @property
    def text(self) -> str:
        """The canonical spelling: `calendar_month` or, say, `30_days`."""
        return CALENDAR_MONTH if self.days is None else f"{self.days}_days"


@dataclass(frozen=True, slots=True)
class Period:
    """One billed interval: instants `[start, end)` in UTC, local dates `[start_date, end_date)`.

    `billing_month` is the first of the month whose partition bills it.
    """

    start: datetime
    end: datetime
    start_date: date
    end_date: date
    billing_month: date


def parse_cycle(billing_cycle: str | None, cycle_anchor: date | None) -> Cycle:
    """The cycle of a customers file's `billing_cycle` and `cycle_anchor`.

    Blank means calendar months. N-day cycles are `30_days`, also `fixed_days` (30), `days`, `fixed_30_days`,
    `30d`, `days_30`, `30 days`. Raises ValueError saying what was expected.
    """
    text = (billing_cycle or "").strip().lower()
    if text in ("", CALENDAR_MONTH):
        return Cycle(anchor=cycle_anchor)
    match = _DAYS.fullmatch(text)
    if match is None:
        raise ValueError(
            f"billing_cycle {billing_cycle!r}: expected {CALENDAR_MONTH} or a number of days such as 30_days"
        )
    return Cycle(days=int(match["n"] or match["m"] or DAYS_DEFAULT), anchor=cycle_anchor)


def is_timezone(name: str) -> bool:
    """Whether `name` is a zone of the IANA database, in its exact spelling (`Europe/Berlin`)."""
    return name in _zone_names()


@lru_cache(maxsize=65536)
def start_of_day(day: date, timezone: str) -> datetime:
    """The first instant of the local date `day`, in UTC.

    Where clocks skip midnight this is the moment they jump (the day starts at, say, 01:00); where midnight
    happens twice, its first time; where the whole date is skipped, the start of the next date that exists.
    """
    zone = ZoneInfo(timezone)
    midnight = datetime.combine(day, time(), zone)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return instant
    # PEP 495: inside a gap fold=1 reads the clock after the jump, an earlier instant than fold=0. The jump is
    # between.
    before = int(midnight.replace(fold=1).timestamp()) - 1
    after = int(midnight.timestamp())
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).date() >= day:
            after = middle
        else:
            before = middle
    return datetime.fromtimestamp(after, UTC)


def billing_month(end: datetime, timezone: str) -> date:
    """First of the local calendar month that holds the last instant of a period, whose `end` is exclusive."""
    return (end - timedelta(microseconds=1)).astimezone(ZoneInfo(timezone)).date().replace(day=1)


def periods_billed_in(month: date, timezone: str, cycle: Cycle) -> list[Period]:
    """Every period of `cycle` whose last instant lies in the calendar month of `timezone`, in order of time.

    `month` is the month's first day. Calendar months: one period, or none before the anchor's month. N-day
    cycles: none, one or several; none starts before the anchor.
    """
    if month.day != 1:
        raise ValueError(f"month {month}: expected the first day of a month")
    following = (month + timedelta(days=31)).replace(day=1)
    if cycle.days is None or cycle.anchor is None:
        start = month if cycle.anchor is None else max(month, cycle.anchor)
        return _billable([(start, following)], month, timezone) if start < following else []
    # Two days of slack either side: a skipped local date may move a period's last instant to an earlier date.
    slack = timedelta(days=2)
    first = max((month - slack - cycle.anchor).days // cycle.days - 1, 0)
    last = (following + slack - cycle.anchor).days // cycle.days
    length = timedelta(days=cycle.days)
    candidates = [(cycle.anchor + k * length, cycle.anchor + (k + 1) * length) for k in range(first, last + 1)]
    return _billable(candidates, month, timezone)


def _billable(dates: list[tuple[date, date]], month: date, timezone: str) -> list[Period]:
    periods = []
    for start_date, end_date in dates:
        start, end = start_of_day(start_date, timezone), start_of_day(end_date, timezone)
        # A period of skipped dates only has no instant, hence nothing to bill.
        if start < end and billing_month(end, timezone) == month:
            periods.append(Period(start, end, start_date, end_date, month))
    return periods


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones()) - _NOT_ZONES
