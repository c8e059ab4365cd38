"""The loop that billing code usually is, to compare with: a customer at a time, `Decimal` in Python, row by row in SQL.

It knows what the benchmark's price book needs and no more. It shares no rule with the pipeline but the rounding, so
that equal totals mean something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.core.money import to_minor
from billing_pipeline.invoicing.rules.invoice_ids import invoice_id
from billing_pipeline.postgres.warehouse import Warehouse

_NONE = Decimal(0)


@dataclass(frozen=True)
class _Line:
    """A price row, the quantity that it bills, and the usage that it answers for."""

    price: Any
    dimensions: str
    usage: Decimal
    included: Decimal
    quantity: Decimal

    @property
    def exact(self) -> Decimal:
        return self.quantity * Decimal(self.price.unit_amount)


def bill(warehouse: Warehouse, month: date, customers: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Bill these customers' periods of the month, a transaction a customer.

    Returns the number of lines written and each customer's total in minor units. The month holds none of their lines.
    """
    prices: dict[str, list[Any]] = {}
    line_count = 0
    totals = {}
    with warehouse.engine.connect() as connection, localcontext() as context:
        context.prec = 60
        for price in connection.execute(text(_PRICES)):
            prices.setdefault(price.meter, []).append(price)
        for customer in customers:
            totals[customer] = 0
            for period in connection.execute(text(_PERIODS), {"customer": customer, "month": month}).all():
                lines = _lines(connection, customer, period, prices)
                totals[customer] += _insert(connection, period, lines)
                line_count += len(lines)
            connection.commit()
    return line_count, totals


def _lines(connection: Connection, customer: str, period: Any, prices: dict[str, list[Any]]) -> list[_Line]:
    (fee,) = prices["platform_fee"]
    lines = [_Line(fee, "{}", Decimal(1), _NONE, Decimal(1))]
    series: dict[tuple[str, str, str], list[Any]] = {}
    for event in connection.execute(text(_EVENTS), {"customer": customer, "until": period.period_end}):
        series.setdefault((event.meter, event.dimensions, event.aggregation), []).append(event)
    for (meter, dimensions, aggregation), events in series.items():
        quantity = _measure(aggregation, events, period.period_start, period.period_end)
        in_period = any(event.occurred_at >= period.period_start for event in events)
        if quantity or in_period:
            rows = [row for row in prices[meter] if row.dimensions in ("{}", dimensions)]
            lines.extend(_price(rows, dimensions, quantity))
    return lines


def _measure(aggregation: str, events: list[Any], start: datetime, end: datetime) -> Decimal:
    if aggregation == "last":
        return Decimal(events[-1].quantity)
    inside = [event for event in events if event.occurred_at >= start]
    if aggregation == "sum":
        return sum((event.quantity for event in inside), _NONE)
    before = events[-len(inside) - 1].quantity if len(inside) < len(events) else None
    steps = [(start, before)] if before is not None else []
    steps += [(event.occurred_at, event.quantity) for event in inside]
    spans = [
        (level, Decimal((until - since) // _MICROSECOND))
        for (since, level), (until, _) in pairwise([*steps, (end, None)])
        if until > since and level is not None
    ]
    if aggregation == "max":
        return max((level for level, _ in spans), default=_NONE)
    integral = sum((level * length for level, length in spans), _NONE)
    return (integral / Decimal((end - start) // _MICROSECOND)).quantize(Decimal("1e-12"), ROUND_HALF_UP)


_MICROSECOND = datetime.resolution


def _price(rows: list[Any], dimensions: str, usage: Decimal) -> list[_Line]:
    first = rows[0]
    included = min(usage, first.included)
    billed = usage - included
    if first.model == "graduated":
        return [
            _Line(row, dimensions, part, _NONE, part)
            for row in rows
            if (part := min(billed, row.tier_up_to or billed) - row.tier_from) > 0 or row.tier_no == 0
        ]
    if first.model == "volume":
        first = next(row for row in rows if row.tier_up_to is None or billed <= row.tier_up_to)
    if first.model == "package":
        packages = (billed / first.package_size).to_integral_value(ROUND_CEILING)
        return [_Line(first, dimensions, usage, included, packages)]
    return [_Line(first, dimensions, usage, included, billed)]


def _insert(connection: Connection, period: Any, lines: list[_Line]) -> int:
    key = invoice_id(period.customer_id, period.period_start)
    whose = {
        "invoice_id": key,
        "period_id": period.period_id,
        "customer_id": period.customer_id,
        "month": period.billing_month,
        "currency": period.currency,
    }
    total = 0
    for number, line in enumerate(lines, start=1):
        amount = to_minor(line.exact, period.currency)
        total += amount
        values = {
            "line_no": number,
            "meter": line.price.meter,
            "dimensions": line.dimensions,
            "description": line.price.description or line.price.meter,
            "usage": line.usage,
            "included": line.included,
            "quantity": line.quantity,
            "unit_amount": line.price.unit_amount,
            "exact": line.exact,
            "amount": amount,
            "price_id": line.price.price_id,
            "version": line.price.version_id,
        }
        connection.execute(text(_INSERT_LINE), {**whose, **values})
    connection.execute(text(_INSERT_INVOICE), {**whose, "total": total, "line_count": len(lines)})
    return total


_PRICES = """
SELECT price_id, meter, cast(dimensions AS text) AS dimensions, model, tier_no, tier_from, tier_up_to, unit_amount,
    package_size, included, description, version_id
FROM billing.prices
WHERE retired_at IS NULL
ORDER BY tier_no
"""

_PERIODS = """
SELECT period_id, customer_id, billing_month, currency, period_start, period_end
FROM billing.billing_periods
WHERE customer_id = :customer AND billing_month = :month
"""

_EVENTS = """
SELECT e.meter, cast(e.dimensions AS text) AS dimensions, m.aggregation, e.quantity, e.occurred_at
FROM billing.usage_series AS s
JOIN billing.usage_events AS e USING (series_id)
JOIN billing.meters AS m ON m.meter = s.meter
LEFT JOIN billing.usage_corrections AS k ON k.event_id = e.event_id
WHERE s.customer_id = :customer AND e.occurred_at < :until
    AND NOT EXISTS (SELECT FROM billing.corrected_events AS c WHERE c.event_id = e.event_id)
ORDER BY e.meter, e.dimensions, e.occurred_at, coalesce(k.place_received_at, e.received_at),
    coalesce(k.place_event_id, e.event_id) COLLATE "C"
"""

_INSERT_LINE = """
INSERT INTO billing.invoice_line_items
(invoice_id, line_no, period_id, customer_id, billing_month, meter, dimensions, kind, description, usage_quantity,
    included_quantity, quantity, unit_amount, exact_amount, currency, amount_minor, price_id, price_version, basis,
    run_id)
VALUES (:invoice_id, :line_no, :period_id, :customer_id, :month, :meter, :dimensions, 'usage', :description, :usage,
    :included, :quantity, :unit_amount, :exact, :currency, :amount, :price_id, :version, 'measured', 'loop')
"""

_INSERT_INVOICE = """
INSERT INTO billing.invoices
(invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, run_id)
VALUES (:invoice_id, :customer_id, :period_id, :month, :currency, :total, :line_count, 'loop')
"""
