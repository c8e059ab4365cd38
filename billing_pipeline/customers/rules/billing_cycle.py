"""How often a customer is billed. Not here: the periods that follow from it (invoicing/rules/periods.py)."""

import calendar
import re
from dataclasses import dataclass
from datetime import date

CALENDAR_MONTH = "calendar_month"
MONTHLY = "monthly"
DAYS_DEFAULT = 30
DAYS_MAX = 366
MONTHS_MAX = 60
CYCLES = (
    f"{CALENDAR_MONTH}, {MONTHLY}, quarterly, yearly, 1 to {MONTHS_MAX} months such as 6_months"
    f" or 1 to {DAYS_MAX} days such as 30_days"
)
"""What a user may write."""

_MONTHS_OF = {MONTHLY: 1, "quarterly": 3, "yearly": 12}
# The canonical spellings are `30_days` and `3_months`; the others are what platforms export.
_DAYS = re.compile(r"(?:fixed_)?(?P<n>[0-9]{1,6})[_ ]?(?:days|d)|days_(?P<m>[0-9]{1,6})|fixed_days|days")
_MONTHS = re.compile(r"(?P<n>[0-9]{1,6})[_ ]?months?")


@dataclass(frozen=True, slots=True)
class Cycle:
    """How often a customer is billed.

    `days` is the length of a period counted from `anchor` (`anchor + k * days`), `months` the same in months: a day
    that a month does not have is its last one, always clamped from the anchor (January 31, February 28, March 31).
    With neither, calendar months: then `anchor` is the first billed day, or None if every month is billed.
    """

    days: int | None = None
    anchor: date | None = None
    months: int | None = None

    def __post_init__(self) -> None:
        if self.days is not None and self.months is not None:
            raise ValueError("a cycle is counted in days or in months")
        for count, longest, unit in ((self.days, DAYS_MAX, "days"), (self.months, MONTHS_MAX, "months")):
            if count is None:
                continue
            if not 1 <= count <= longest:
                raise ValueError(f"a cycle of {count} {unit}: expected 1 to {longest} {unit}")
            if self.anchor is None:
                raise ValueError(f"a cycle of {count} {unit} needs a cycle_anchor, the first billed day")

    @property
    def text(self) -> str:
        """The canonical spelling: `calendar_month`, `monthly`, or, say, `3_months` or `30_days`."""
        if self.days is not None:
            return f"{self.days}_days"
        if self.months is None:
            return CALENDAR_MONTH
        return MONTHLY if self.months == 1 else f"{self.months}_months"

    def full_days(self, start: date, end: date) -> int:
        """Days of the whole period that begins on `start` and ends before `end`.

        More than `end - start` only for a calendar month that begins at the anchor.
        """
        if self.days is None and self.months is None:
            return calendar.monthrange(start.year, start.month)[1]
        return (end - start).days


def add_months(day: date, months: int) -> date:
    """The same day `months` later, or that month's last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def parse_cycle(billing_cycle: str | None, cycle_anchor: date | None) -> Cycle:
    """The cycle of a customers file's `billing_cycle` and `cycle_anchor`.

    Blank means calendar months. Months from the anchor are `monthly`, `quarterly`, `yearly`, `6_months`. N-day cycles
    are `30_days`, also `fixed_days` (30), `days`, `fixed_30_days`, `30d`, `days_30`, `30 days`. Raises ValueError
    saying what was expected.
    """
    text = (billing_cycle or "").strip().lower()
    if text in ("", CALENDAR_MONTH):
        return Cycle(anchor=cycle_anchor)
    if text in _MONTHS_OF:
        return Cycle(months=_MONTHS_OF[text], anchor=cycle_anchor)
    if match := _MONTHS.fullmatch(text):
        return Cycle(months=int(match["n"]), anchor=cycle_anchor)
    match = _DAYS.fullmatch(text)
    if match is None:
        raise ValueError(f"billing_cycle {billing_cycle!r}: expected {CYCLES}")
    return Cycle(days=int(match["n"] or match["m"] or DAYS_DEFAULT), anchor=cycle_anchor)
