"""How often a customer is billed. Not here: the periods that follow from it (invoicing/rules/periods.py)."""

import re
from dataclasses import dataclass
from datetime import date

CALENDAR_MONTH = "calendar_month"
DAYS_DEFAULT = 30
DAYS_MAX = 366

# The canonical spelling is `30_days`; the others are what platforms export.
_DAYS = re.compile(r"(?:fixed_)?(?P<n>[0-9]{1,6})[_ ]?(?:days|d)|days_(?P<m>[0-9]{1,6})|fixed_days|days")


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
