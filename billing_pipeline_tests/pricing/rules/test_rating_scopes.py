"""What is counted together: a meter's combinations, an allowance that prices share; flat amounts of tiers."""

from decimal import Decimal

import pytest

from billing_pipeline.pricing.rules.price_book import PriceBookError, load_price_books
from billing_pipeline_tests.pricing.rules.rated_bills import bill, calls, set_aside, usage
from billing_pipeline_tests.pricing.rules.rating_oracle import Snapshot

LINES = ("description", "usage_quantity", "included_quantity", "quantity", "unit_amount", "amount_minor")
TIERS = "tiers: [{up_to: 10, unit_amount: 3, flat_amount: 20}, {up_to: null, unit_amount: 1, flat_amount: 50}]"


def test_tiers_and_allowance_count_for_each_combination_unless_the_scope_is_the_meter() -> None:
    used = [usage(8), usage(8, "us")]
    each = calls(f"{{meter: calls, model: graduated, included: 2, {TIERS}}}")
    assert bill(used, each, *LINES) == [
        ("Calls (eu)", 8, 2, 6, 3, 1800),
        ("Calls (eu): flat fee of tier 1", 0, 0, 1, 20, 2000),
        ("Calls (us)", 8, 2, 6, 3, 1800),
        ("Calls (us): flat fee of tier 1", 0, 0, 1, 20, 2000),
    ]
    # eu comes first and takes the allowance; us goes on where eu ended, at 6 of the first 10
    together = calls(f"{{meter: calls, model: graduated, included: 2, scope: meter, {TIERS}}}")
    assert bill(used, together, *LINES) == [
        ("Calls (eu)", 8, 2, 6, 3, 1800),
        ("Calls (us)", 4, 0, 4, 3, 1200),
        ("Calls (us)", 4, 0, 4, 1, 400),
        ("Calls: flat fee of tier 1", 0, 0, 1, 20, 2000),
        ("Calls: flat fee of tier 2", 0, 0, 1, 50, 5000),
    ]


def test_volume_across_the_meter_prices_every_combination_at_the_tier_of_them_all() -> None:
    books = calls(f"{{meter: calls, model: volume, scope: meter, {TIERS}}}")
    assert bill([usage(8), usage(8, "us")], books, "description", "quantity", "amount_minor") == [
        ("Calls (eu)", 8, 800),
        ("Calls (us)", 8, 800),
        ("Calls: flat fee of tier 2", 1, 5000),
    ]


def test_packages_across_the_meter_are_begun_once() -> None:
    books = calls("{meter: calls, model: package, package_size: 10, amount: 7, scope: meter}")
    assert bill([usage(6), usage(3, "uk"), usage(6, "us")], books, "quantity") == [(1,), (0,), (1,)]


def test_a_tier_that_nothing_billed_reaches_costs_no_flat_amount() -> None:
    books = calls(f"{{meter: calls, model: graduated, included: 5, {TIERS}}}")
    assert bill([usage(5)], books, "kind", "amount_minor") == [("usage", 0)]
    steps = calls("{meter: calls, model: volume, tiers: [{up_to: 9, flat_amount: 5}, {up_to: null, flat_amount: 8}]}")
    assert bill([usage(30)], steps, "kind", "amount_minor") == [("usage", 0), ("fee", 800)]


POOL = """
name: test
currency: usd
meters:
  calls: {aggregation: sum}
  messages: {aggregation: sum}
  rest: {aggregation: sum}
versions:
  - id: "1"
    effective_from: 2025-01-01
    prices:
      - {meter: messages, model: per_unit, unit_amount: 2, included: 100, pool: talk}
      - {meter: calls, model: per_unit, unit_amount: 5, included: 100, pool: talk}
      - {meter: rest, model: per_unit, unit_amount: 1, included: 100}
    customers:
      vip:
        - {meter: calls, model: per_unit, unit_amount: 5, included: 10, pool: talk}
"""


def test_an_allowance_is_shared_by_the_prices_of_one_list_in_the_order_of_the_book() -> None:
    books = list(load_price_books(POOL, "test"))

    def of(customer: str) -> list[Snapshot]:
        return [Snapshot(customer, meter, Decimal(60)) for meter in ("calls", "messages", "rest")]

    columns = ("meter", "included_quantity", "quantity")
    assert bill(of("c"), books, *columns) == [("messages", 60, 0), ("calls", 40, 20), ("rest", 60, 0)]
    # the customer's list has a pool of its own, although its name is the same
    assert bill(of("vip"), books, *columns) == [("messages", 60, 0), ("calls", 10, 50), ("rest", 60, 0)]


def test_what_is_counted_together_and_is_more_than_can_be_billed_is_set_aside_together() -> None:
    books = calls("{meter: calls, model: per_unit, unit_amount: 0, scope: meter}")
    large = 9 * 10**17
    reason = "a quantity larger than can be billed"
    used = [usage(large, customer="big"), usage(large, "us", "big"), usage(1)]
    assert set_aside(used, books) == ([("c", 0)], [("big", reason)] * 2)


@pytest.mark.parametrize(
    ("price", "problem"),
    [
        ("{meter: calls, model: per_unit, unit_amount: 1, minimum: 5, maximum: 4}", "maximum: expected at least"),
        ("{meter: calls, model: per_unit, unit_amount: 1, pool: p}", "pool: a pool shares an allowance"),
        ("{meter: calls, model: flat, amount: 1, scope: meter}", "scope: a flat price has no such key"),
        ("{meter: calls, model: per_unit, unit_amount: 1, scope: all}", "scope: expected one of combination, meter"),
        ("{meter: calls, model: per_unit, unit_amount: 1, lines: merged, scope: combination}", "scope: a merged line"),
        (
            """{meter: calls, model: volume, scope: meter, rates: {us: [{up_to: null, unit_amount: 1}],
                eu: [{up_to: 5, unit_amount: 1}, {up_to: null, unit_amount: 2}]}}""",
            "rates: tiers that are counted across the meter",
        ),
    ],
)
def test_a_scope_that_cannot_be_meant_is_named_with_its_path(price: str, problem: str) -> None:
    with pytest.raises(PriceBookError, match=problem):
        calls(price)


def test_a_pool_has_one_size_in_a_list() -> None:
    with pytest.raises(PriceBookError, match="expected included 100 in all prices of the pool talk, found 90 of calls"):
        load_price_books(POOL.replace("unit_amount: 5, included: 100", "unit_amount: 5, included: 90"), "test")
