"""Which adjustments an invoice takes: all charges, then credits as far as the total stays at zero or above. Pure.

They go to the customer's next invoice that a run will charge; which drafts none will is billing.is_passed_over's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from billing_pipeline.core.months import days_since_end, month_before


@dataclass(frozen=True, slots=True)
class Waiting:
    """An adjustment, or what is left of a credit, in minor units; below zero it is a credit."""

    adjustment_id: str
    left_minor: int
    description: str


def allocate(lines_minor: int, waiting: Sequence[Waiting]) -> list[Waiting]:
    """The parts that an invoice with these metered lines takes, in the order given; what it cannot take is left out.

    Credits alone make no invoice: without lines and charges nothing is taken.
    """
    room = lines_minor + sum(one.left_minor for one in waiting if one.left_minor > 0)
    taken = []
    for one in waiting:
        amount = one.left_minor
        if amount < 0:
            amount = -min(room, -amount)
            room += amount
        if amount != 0:
            taken.append(Waiting(one.adjustment_id, amount, one.description))
    return taken


def left_over(waiting: Sequence[Waiting], taken: Sequence[Waiting]) -> list[Waiting]:
    """What waits for the invoice after this one."""
    used = {one.adjustment_id: one.left_minor for one in taken}
    rest = [Waiting(w.adjustment_id, w.left_minor - used.get(w.adjustment_id, 0), w.description) for w in waiting]
    return [one for one in rest if one.left_minor != 0]


def oldest_charged(today: date, age_max_days: int) -> date:
    """The oldest month that is charged without a person: it ended at most `age_max_days` ago."""
    month = today.replace(day=1)
    while month > date.min.replace(month=2) and days_since_end(month_before(month), today) <= age_max_days:
        month = month_before(month)
    return month
