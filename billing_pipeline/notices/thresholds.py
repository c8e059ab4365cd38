"""Looks at what running periods come to, and tells whose budget or allowance has reached a share that is told.

Each share once a period, and no lower one after a higher one. Bills nothing by it.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.comparison.estimated import Estimate
from billing_pipeline.comparison.rules.allowances import Allowance
from billing_pipeline.core.shapes import plain
from billing_pipeline.notices.rules.budgets import highest_reached
from billing_pipeline.postgres.locks import lock_thresholds
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

TOLD_PERCENT = (80, 100)
"""Shares of what prices include."""
BATCH = 50
"""Customers that are estimated at once."""


@dataclass(frozen=True, slots=True)
class Looked:
    """How many customers were looked at, how many facts were told, and after which customer to go on; None: done.

    `failed`: the customers whose period could not be estimated; the others were told.
    """

    customers: int
    told: int
    after: str | None
    failed: tuple[str, ...] = ()

    def __str__(self) -> str:
        failed = f", {len(self.failed):,} could not be" if self.failed else ""
        return f"{self.customers:,} looked at, {self.told:,} told{failed}"


@dataclass(frozen=True, slots=True)
class _Reached:
    """A share that is reached; `key` without it names what it is of, in this period."""

    kind: str
    customer_id: str
    key: str
    percent: int
    percents: Sequence[int]
    facts: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """As sql/notices/tell_of_thresholds.sql takes it."""
        passed = [f"{self.kind}:{self.key}:{percent}" for percent in self.percents if percent >= self.percent]
        fact = f"{self.kind}:{self.key}:{self.percent}"
        told = {"kind": self.kind, "customer_id": self.customer_id, "fact": fact, "passed": passed}
        return {**told, "facts": {**self.facts, "percent": self.percent}}


def tell_of_thresholds(
    warehouse: Warehouse,
    clock: Callable[[], datetime],
    *,
    after: str | None = None,
    longest: timedelta | None = None,
    log: Callable[[str], None],
) -> Looked:
    """Look at customers in the order of their ids, a batch's notices in a transaction; doing it often changes nothing.

    A customer whose period cannot be estimated stops nobody else's: it is logged by its id, and noted for the alert
    `look_failed`.

    Args:
        warehouse: the billing database.
        clock: what time it is; periods are those that run now.
        after: go on behind this customer.
        longest: no further batch is begun after so long; None: until all are looked at.
        log: takes a line a customer that could not be looked at.
    """
    began, looked, told = clock(), 0, 0
    failed: list[str] = []
    while True:
        parameters = {"after": after, "batch_size": BATCH}
        customers = [
            row["customer_id"] for row in warehouse.rows(load_sql("notices/watched_customers.sql"), **parameters)
        ]
        told += _look(warehouse, customers, clock(), failed, log)
        looked += len(customers)
        if len(customers) < BATCH:
            return Looked(looked, told, None, tuple(failed))
        after = customers[-1]
        if longest is not None and clock() - began >= longest:
            return Looked(looked, told, after, tuple(failed))


def _look(
    warehouse: Warehouse, customers: Sequence[str], now: datetime, failed: list[str], log: Callable[[str], None]
) -> int:
    """How many facts of these customers were told. What fails is halved until it is one customer, which is noted."""
    try:
        return _tell(warehouse, _reached(warehouse, estimate(warehouse, customers, now=now, projects=False)))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one customer, the others are told
        if len(customers) == 1:
            kind = type(error).__name__
            with warehouse.transaction() as connection:  # where the database is what fails, so does this
                connection.execute(text(_FAILED), {"customer": customers[0], "error": kind})
            failed.append(customers[0])
            log(f"customer {customers[0]}: the running period could not be looked at: {kind}: {error}")
            return 0
    middle = len(customers) // 2
    return sum(_look(warehouse, half, now, failed, log) for half in (customers[:middle], customers[middle:]))


def _reached(warehouse: Warehouse, estimates: Sequence[Estimate]) -> list[_Reached]:
    if not estimates:
        return []
    customers = [each.customer_id for each in estimates]
    budgets: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in warehouse.rows(_BUDGETS, customers=customers):
        budgets[row["customer_id"]].append(row)
    units = {(row["currency"], row["meter"]): row["unit"] for row in warehouse.rows(_ADDED_UP)}
    return [
        found
        for each in estimates
        for found in (*_of_budgets(each, budgets[each.customer_id]), *_of_allowances(each, units))
    ]


def _of_budgets(period: Estimate, budgets: Iterable[Mapping[str, Any]]) -> Iterable[_Reached]:
    for budget in budgets:
        meter, percents = budget["meter"], budget["thresholds_percent"]
        if meter is None:
            if budget["currency"] != period.currency:
                continue
            so_far, limit = Decimal(period.accrued.total_minor), Decimal(budget["limit_minor"])
            facts: dict[str, Any] = {
                "limit_minor": budget["limit_minor"],
                "so_far_minor": period.accrued.total_minor,
                "currency": period.currency,
            }
        else:
            so_far, limit = period.accrued.used(meter), budget["limit_quantity"]
            facts = {"limit_quantity": plain(limit), "so_far_quantity": plain(so_far), "unit": budget["unit"]}
        percent = highest_reached(so_far, limit, percents)
        if percent is not None:
            # another limit is told of anew
            key = f"{budget['budget_id']}:{plain(limit)}:{period.period_start.isoformat()}"
            facts |= {"meter": meter, **_days(period)}
            yield _Reached("budget_reached", period.customer_id, key, percent, percents, facts)


def _of_allowances(period: Estimate, units: Mapping[tuple[str, str], str | None]) -> Iterable[_Reached]:
    """Of what is added up alone: two of two clusters that are included are no news.

    Where combinations of dimensions have an allowance each, the one that is used most is told of.
    """
    fullest: dict[str, tuple[int, Allowance]] = {}
    for own in period.accrued.allowances:
        percent = highest_reached(own.used, own.included, TOLD_PERCENT)
        name = own.pool or own.meters[0]
        if percent is None or any((period.currency, meter) not in units for meter in own.meters):
            continue
        if name not in fullest or percent > fullest[name][0]:
            fullest[name] = percent, own
    for name, (percent, own) in fullest.items():
        facts = {
            "meter": name,
            "unit": units[period.currency, own.meters[0]],
            "included_quantity": plain(own.included),
            "used_quantity": plain(min(own.used, own.included)),
            **_days(period),
        }
        key = f"{period.customer_id}:{name}:{period.period_start.isoformat()}"
        yield _Reached("allowance_reached", period.customer_id, key, percent, TOLD_PERCENT, facts)


def _days(period: Estimate) -> dict[str, str]:
    return {
        "first_day": period.start_date.isoformat(),
        "last_day": (period.end_date - timedelta(days=1)).isoformat(),
    }


def _tell(warehouse: Warehouse, found: Sequence[_Reached]) -> int:
    """Write what was not told, in one transaction; how many facts that were."""
    if not found:
        return 0
    with warehouse.transaction() as connection:
        lock_thresholds(connection)
        written = connection.execute(
            text(load_sql("notices/tell_of_thresholds.sql")), {"found": json.dumps([each.row for each in found])}
        )
        return len(set(written.scalars()))


_ADDED_UP = "SELECT currency, meter, unit FROM billing.meters WHERE aggregation IN ('sum', 'count', 'unique')"
_FAILED = """
INSERT INTO billing.failed_looks (customer_id, error) VALUES (:customer, :error)
ON CONFLICT (customer_id) DO UPDATE SET error = excluded.error, failed_at = clock_timestamp()
"""
_BUDGETS = """
SELECT b.budget_id, b.customer_id, b.meter, b.limit_minor, b.currency, b.limit_quantity, b.thresholds_percent, m.unit
FROM billing.budgets AS b
JOIN billing.customers AS c USING (customer_id)
LEFT JOIN billing.meters AS m ON m.currency = c.currency AND m.meter = b.meter
WHERE b.ended_at IS NULL AND b.customer_id = ANY(:customers)
"""
