"""What came of a month: its invoices by state, reason and currency, and what waits for a person. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from billing_pipeline.charging.rules.brakes import LETS_GO_BY_ITSELF
from billing_pipeline.corrections.holds import ActiveHold, active_holds
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MonthResult:
    """A month as it stands.

    `invoices`: state (its charge's, or `draft`), reason_code, currency, invoices,
    amount_minor. `quarantined`: reason, currency, worth_minor (at the last price, null where
    none is known), series, events, customers, for_example. `holds`: those that keep something of
    the month. `held_back`: charges that a brake kept in the last run, by its code; 0: it kept the month as a whole.
    """

    invoices: list[Row]
    quarantined: list[Row]
    holds: list[ActiveHold]
    held_back: Mapping[str, int]

    def count(self, state: str) -> int:
        """Invoices in a state."""
        return sum(row["invoices"] for row in self.invoices if row["state"] == state)

    @property
    def waits_for_a_person(self) -> bool:
        """Whether anything is refused, parked, held or quarantined, or a brake waits that does not let go by itself."""
        return bool(
            any(self.count(state) for state in ("refused", "parked"))
            or self.quarantined
            or any(hold.drafts or hold.uncharged for hold in self.holds)
            or self.held_back.keys() - LETS_GO_BY_ITSELF
        )


def read_month_result(warehouse: Warehouse, month: date, held_back: Mapping[str, int]) -> MonthResult:
    """The month as it stands now, with what brakes kept in the run that has just ended."""
    return MonthResult(
        invoices=warehouse.rows(load_sql("books/month_result.sql"), month=month),
        quarantined=warehouse.rows(load_sql("books/month_quarantine.sql"), month=month),
        holds=active_holds(warehouse, month),
        held_back=held_back,
    )
