"""Bills of the stretches that an estimate rates: rated as a month is, with the adjustments that a draft would take."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from billing_pipeline.comparison.estimate_measuring import SetAsides
from billing_pipeline.comparison.estimate_variants import ACCRUED, Variant, fill_periods
from billing_pipeline.comparison.estimated import EstimatedBill, EstimatedLine, SetAside
from billing_pipeline.comparison.open_periods import OpenPeriod
from billing_pipeline.comparison.rules.allowances import allowances
from billing_pipeline.invoicing.draft_adjustments import waiting_adjustments
from billing_pipeline.invoicing.period_terms import MEASURED, terms_of_periods
from billing_pipeline.invoicing.rated_lines import rated_lines
from billing_pipeline.invoicing.rules.adjustments import Waiting, allocate, left_over
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.pricing.prices_in_use import read_prices
from billing_pipeline.pricing.terms import terms_in_use


def bills_of(
    connection: Connection, periods: Sequence[OpenPeriod], rated: Sequence[Variant], set_aside: SetAsides
) -> Mapping[str, EstimatedBill]:
    """A bill of each of the stretches, by its id; what has no price is added to `set_aside`. Reads pg_temp.measured."""
    customers = sorted({period.customer_id for period in periods})
    own = "retired_at IS NULL AND (customer_id IS NULL OR customer_id = ANY(:customers))"
    prices = read_prices(connection, own, {"customers": customers})
    unpriced: list[pa.Table] = []
    lines: dict[str, list[EstimatedLine]] = defaultdict(list)
    metered: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    in_force = terms_in_use(connection, prices)
    for together in _sets(rated, apart=any(in_force.granted_to(customer) for customer in customers)):
        fill_periods(connection, together, apart=True)
        terms = terms_of_periods(connection, MEASURED, {}, in_force)
        snapshots = load_sql("comparison/shadow_input.sql")
        with closing(rated_lines(connection, snapshots, {}, prices, unpriced, terms)) as tables:
            for row in (row for table in tables for row in table.to_pylist()):
                lines[row["period_id"]].append(_line(row))
                metered[row["period_id"]].append(row)
    for row in (row for table in unpriced for row in table.to_pylist()):
        set_aside[row["period_id"]].append(
            SetAside(row["meter"], row["dimensions"], row["quantity"], row["event_count"], row["reason"])
        )
    _place_adjustments(connection, periods, rated, lines)
    including = _including(prices)
    bills = {}
    for variant in rated:
        drawn_up = lines[variant.variant_id]
        included = [] if variant.of.in_trial else allowances(metered[variant.variant_id], including)
        bills[variant.variant_id] = EstimatedBill(sum(line.amount_minor for line in drawn_up), drawn_up, included)
    return bills


def _sets(rated: Sequence[Variant], *, apart: bool) -> list[list[Variant]]:
    """What is rated at once: all, or each set by itself, for two bills of a period would share its coupon."""
    sets: dict[tuple[str, int, date | None], list[Variant]] = defaultdict(list)
    for variant in rated:
        sets[(variant.use, variant.number, variant.day) if apart else ("", 0, None)].append(variant)
    return list(sets.values())


def _including(prices: pa.Table) -> dict[str, Mapping[str, Any]]:
    """By id the prices that include something."""
    return {row["price_id"]: row for row in prices.to_pylist() if row["included"] > 0}


def _line(row: Mapping[str, Any]) -> EstimatedLine:
    return EstimatedLine(
        row["meter"], row["dimensions"], row["kind"], row["description"], row["usage_quantity"], row["amount_minor"]
    )


def _place_adjustments(
    connection: Connection,
    periods: Sequence[OpenPeriod],
    rated: Sequence[Variant],
    lines: dict[str, list[EstimatedLine]],
) -> None:
    """Put on each bill what a draft would take of what waits; an earlier period takes first."""
    if not any(period.adjusted for period in periods):
        return
    months = {period.customer_id: period.billing_month for period in periods if period.wanted}
    waits: dict[str, list[Waiting]] = {}
    for month in sorted(set(months.values())):
        found = waiting_adjustments(connection, month)
        waits |= {customer: own for (customer, _), own in found.items() if months.get(customer) == month}
    for period in periods:
        own = waits.get(period.customer_id, [])
        for variant in rated if own and period.takes_adjustments else ():
            if variant.of is not period:
                continue
            bill = lines[variant.variant_id]
            taken = allocate(sum(line.amount_minor for line in bill), own)
            bill.extend(
                EstimatedLine("adjustments", "{}", "adjustment", one.description, Decimal(1), one.left_minor)
                for one in taken
            )
            if variant.use == ACCRUED:
                waits[period.customer_id] = left_over(own, taken)
