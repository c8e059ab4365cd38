"""Usage of a meter beside that of the month before, by hand."""

from decimal import Decimal

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import OCTOBER, SEPTEMBER, Event, add_customer, add_usage, at, bill


def test_a_meter_grows_from_month_to_month(billed: Warehouse) -> None:
    add_customer(billed, "bob")
    for number, (customer, day, calls) in enumerate(
        (("ann", "2025-09-15", 80), ("ann", "2025-10-15", 100), ("bob", "2025-10-16", 40))
    ):
        add_usage(billed, [Event(f"e{number}", customer, "calls", calls, at(day))])
    bill(billed, SEPTEMBER)
    bill(billed, OCTOBER)
    rows = billed.rows(
        "SELECT billing_month, customers, before_customers, events, quantity, before_quantity, change_percent"
        " FROM billing.usage_trends WHERE meter = 'calls' ORDER BY billing_month"
    )
    assert [tuple(row.values()) for row in rows] == [
        (SEPTEMBER, 1, None, 1, Decimal(80), None, None),
        (OCTOBER, 2, 1, 2, Decimal(140), Decimal(80), Decimal("75.0")),
    ]
