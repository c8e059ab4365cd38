"""What each model of a price makes of a quantity, one rule a test."""

from decimal import Decimal

import pytest

from billing_pipeline_tests.pricing.rules.rated_bills import GRADUATED, QUANTITIES, bill, calls, usage


def test_a_flat_price_is_due_once_if_there_is_any_usage():
    books = calls("{meter: calls, model: flat, amount: 7}")
    assert bill([usage("0.5"), usage(0, "us")], books, *QUANTITIES) == [
        (Decimal("0.5"), 0, 1, 7, 700),
        (0, 0, 0, 7, 0),
    ]


def test_usage_within_the_allowance_is_a_line_of_zero():
    books = calls("{meter: calls, model: per_unit, included: 10, unit_amount: 2}")
    assert bill([usage(4)], books, *QUANTITIES) == [(4, 4, 0, 2, 0)]
    assert bill([usage("12.5")], books, *QUANTITIES) == [(Decimal("12.5"), 10, Decimal("2.5"), 2, 500)]


def test_graduated_bills_each_tier_at_its_own_rate():
    books = calls(GRADUATED % "graduated")
    assert bill([usage(255)], books, *QUANTITIES) == [
        (105, 5, 100, 1, 10000),
        (100, 0, 100, Decimal("0.5"), 5000),
        (50, 0, 50, Decimal("0.25"), 1250),
    ]
    assert bill([usage(105)], books, *QUANTITIES) == [(105, 5, 100, 1, 10000)]
    assert bill([usage(0)], books, *QUANTITIES) == [(0, 0, 0, 1, 0)]


@pytest.mark.parametrize(
    ("quantity", "unit_amount"),
    [("0", "1"), ("5", "1"), ("105", "1"), ("105.000000000001", "0.5"), ("205", "0.5"), ("206", "0.25")],
)
def test_volume_bills_all_of_it_at_the_rate_of_the_tier_reached(quantity, unit_amount):
    [line] = bill([usage(quantity)], calls(GRADUATED % "volume"), *QUANTITIES)
    assert line[2:4] == (max(Decimal(quantity) - 5, Decimal(0)), Decimal(unit_amount))


@pytest.mark.parametrize(
    ("quantity", "packages"),
    [("0", 0), ("10", 0), ("10.000000000001", 1), ("110", 1), ("110.1", 2), ("1010", 10)],
)
def test_a_begun_package_is_billed_whole(quantity, packages):
    books = calls("{meter: calls, model: package, package_size: 100, amount: 3, included: 10}")
    [line] = bill([usage(quantity)], books, *QUANTITIES)
    assert line[2:] == (packages, 3, packages * 300)


def test_packages_of_a_third_are_counted_exactly():
    books = calls("{meter: calls, model: package, package_size: 0.333333333333, amount: 1}")
    assert bill([usage("0.999999999999")], books, "quantity") == [(3,)]
    assert bill([usage("1")], books, "quantity") == [(4,)]


def test_tiers_and_packages_may_have_a_rate_for_each_combination_of_dimensions() -> None:
    tiers = "[{up_to: 10, unit_amount: %s}, {up_to: null, unit_amount: 1}]"
    books = calls(f"{{meter: calls, model: graduated, rates: {{eu: {tiers % 3}, us: {tiers % 2}}}}}")
    used = [usage(12), usage(11, "us")]
    assert bill(used, books, "dimensions", "quantity", "amount_minor") == [
        ('{"region": "eu"}', 10, 3000),
        ('{"region": "eu"}', 2, 200),
        ('{"region": "us"}', 10, 2000),
        ('{"region": "us"}', 1, 100),
    ]
    books = calls("{meter: calls, model: package, package_size: 10, rates: {eu: 5, us: 7}}")
    assert bill(used, books, "quantity", "amount_minor") == [(2, 1000), (2, 1400)]
