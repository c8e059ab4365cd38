"""Where a month's charges are, and what a run over them did."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from billing_pipeline.charging.rules.brakes import Brake
from billing_pipeline.postgres.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class StateCount:
    """Charges of the month in one state, with one reason, in one currency."""

    state: str
    reason_code: str | None
    currency: str
    count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ChargeReport:
    """Where the month's charges are after the run, and what the run did.

    `pending` counts charges that the next pass goes on with, by reason; `in_other_hands` those that another run was
    working on; `brakes` are those that held any of them back.
    """

    by_state: tuple[StateCount, ...]
    worked_on: int
    in_other_hands: int
    pending: Mapping[str, int]
    calls: int
    seconds: float
    brakes: tuple[Brake, ...] = ()

    def count(self, state: str, reason_code: str | None = None) -> int:
        """Charges of the month in a state, with any reason or with this one."""
        return sum(
            part.count for part in self.by_state if part.state == state and reason_code in (None, part.reason_code)
        )

    def amounts_minor(self, state: str) -> dict[str, int]:
        """Amount of the charges in a state, by currency, in its minor units."""
        amounts: Counter[str] = Counter()
        for part in self.by_state:
            if part.state == state:
                amounts[part.currency] += part.amount_minor
        return dict(amounts)


def charges_by_state(warehouse: Warehouse, month: date) -> tuple[StateCount, ...]:
    """The month's charges, counted."""
    return tuple(StateCount(**row) for row in warehouse.rows(_BY_STATE, month=month))


_BY_STATE = """
SELECT state, reason_code, currency, count(*) AS count, sum(amount_minor)::bigint AS amount_minor
FROM billing.stripe_charges WHERE billing_month = :month GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
