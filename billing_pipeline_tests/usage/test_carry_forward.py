"""A month whose feed is incomplete, released by an operator: the period before stands in, and it shows."""

import json
from datetime import date
from decimal import Decimal

from billing_pipeline.invoicing import invoice_line_items
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage import usage_snapshots
from billing_pipeline_tests.month_rows import (
    BOOK,
    OCTOBER,
    SEPTEMBER,
    SMALL,
    add_customer,
    add_usage,
    at,
    bill,
    change_customer,
    complete_feed,
    event_of_ann,
    load_book,
)


def _by_meter(warehouse: Warehouse, month: date) -> dict[str, tuple[Decimal, str, int]]:
    rows = warehouse.rows("SELECT * FROM billing.usage_snapshots WHERE billing_month = :month", month=month)
    return {
        row["meter"] + json.dumps(row["dimensions"]): (row["quantity"], row["basis"], row["event_count"])
        for row in rows
    }


def test_carry_forward_bills_what_the_feed_does_not_cover_at_the_quantities_of_the_period_before(billed):
    add_usage(
        billed,
        [
            event_of_ann("a", "calls", 50, "2025-09-05"),
            event_of_ann("b", "clusters", 3, "2025-09-05", dimensions=SMALL),
            event_of_ann("c", "calls", 8, "2025-10-03"),
            event_of_ann("d", "peak", 4, "2025-10-04"),
        ],
    )
    complete_feed(billed, at("2025-10-04"))
    bill(billed, SEPTEMBER)
    bill(billed, OCTOBER)
    clusters = "clusters" + json.dumps(dict(sorted(SMALL.items(), key=lambda pair: len(pair[0]))))
    measured = {
        "fee{}": (1, "measured", 0),
        "calls{}": (8, "measured", 1),
        "peak{}": (4, "measured", 1),
        clusters: (3, "measured", 0),
    }
    assert _by_meter(billed, OCTOBER) == measured
    built = usage_snapshots.build(billed, OCTOBER, "run", carry_forward=True)
    assert built.carried_forward_rows == 3
    assert _by_meter(billed, OCTOBER) == {
        "fee{}": (1, "carried_forward", 0),
        "calls{}": (50, "carried_forward", 1),
        "peak{}": (4, "measured", 1),
        clusters: (3, "carried_forward", 0),
    }
    invoice_line_items.build(billed, OCTOBER, "run")
    bases = billed.rows(
        "SELECT meter, basis FROM billing.invoice_line_items WHERE billing_month = :month", month=OCTOBER
    )
    assert {row["meter"] for row in bases if row["basis"] == "carried_forward"} == {"fee", "calls", "clusters"}

    usage_snapshots.build(billed, OCTOBER, "run")
    assert _by_meter(billed, OCTOBER) == measured, "without the release the month goes back to what was measured"
    assert billed.scalar("SELECT count(carried_forward_from) FROM billing.asset_months") == 0


def test_carry_forward_leaves_periods_alone_that_the_feed_covers(billed):
    """Tokyo's October ends nine hours before UTC's: a feed that reaches in between covers the one and not the other."""
    add_customer(billed, "ken", timezone="Asia/Tokyo")
    for customer_id in ("ann", "ken"):
        usage = [("s", 50, "2025-09-05"), ("o", 8, "2025-10-05")]
        add_usage(
            billed, [event_of_ann(customer_id + e, "calls", q, when, customer_id=customer_id) for e, q, when in usage]
        )
    complete_feed(billed, at("2025-10-31T15:00"))
    bill(billed, SEPTEMBER)
    bill(billed, OCTOBER, carry_forward=True)
    rows = billed.rows(
        "SELECT * FROM billing.usage_snapshots WHERE billing_month = :month AND meter = 'calls'", month=OCTOBER
    )
    assert {row["customer_id"]: (row["quantity"], row["basis"]) for row in rows} == {
        "ann": (50, "carried_forward"),
        "ken": (8, "measured"),
    }


def test_without_a_period_before_nothing_is_carried(billed):
    add_usage(billed, [event_of_ann("a", "calls", 8, "2025-10-03")])
    complete_feed(billed, at("2025-10-04"))
    bill(billed, OCTOBER, carry_forward=True)
    assert _by_meter(billed, OCTOBER)["calls{}"] == (8, "measured", 1)


def test_quantities_of_another_currency_are_not_carried(billed):
    """The meters of two books need not mean the same."""
    load_book(billed, BOOK + "---" + BOOK.replace("currency: usd", "currency: eur"))
    add_usage(billed, [event_of_ann("a", "calls", 50, "2025-09-05")])
    complete_feed(billed, at("2025-10-04"))
    bill(billed, SEPTEMBER)
    change_customer(billed, "ann", currency="eur")
    bill(billed, OCTOBER, carry_forward=True)
    assert _by_meter(billed, OCTOBER) == {"fee{}": (1, "measured", 0)}
