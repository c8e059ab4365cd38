"""Minimums and maximums of a price, from the rounded lines."""

from decimal import Decimal

import pytest

from billing_pipeline_tests.pricing.rules.rated_bills import bill, calls, usage
from billing_pipeline_tests.pricing.rules.rating_oracle import rated

MINIMUM = "{meter: calls, model: per_unit, minimum: 5, rates: {eu: 1, us: 2}}"


KINDS = ("kind", "description", "dimensions", "quantity", "unit_amount", "amount_minor", "line_no")


def test_a_minimum_tops_up_the_meters_lines_of_an_invoice_together():
    eu, us = '{"region": "eu"}', '{"region": "us"}'
    assert bill([usage(1, "us"), usage(2)], calls(MINIMUM), *KINDS) == [
        ("usage", "Calls (eu)", eu, 2, 1, 200, 1),
        ("usage", "Calls (us)", us, 1, 2, 200, 2),
        ("minimum", "Minimum for calls", "{}", 1, 1, 100, 3),
    ]
    assert [kind for (kind,) in bill([usage(5)], calls(MINIMUM), "kind")] == ["usage"]


def test_without_any_usage_there_is_no_minimum():
    assert [kind for (kind,) in bill([usage(0), usage(0, "us")], calls(MINIMUM), "kind")] == [
        "usage",
        "usage",
    ]


def test_usage_within_the_allowance_owes_the_minimum():
    books = calls("{meter: calls, model: per_unit, included: 10, unit_amount: 1, minimum: 5}")
    assert bill([usage(3)], books, "kind", "amount_minor") == [("usage", 0), ("minimum", 500)]


@pytest.mark.parametrize("unit_amount", ["0.004", "0.005", "0.0049999"])
@pytest.mark.parametrize("regions", [1, 2, 7, 1000])
@pytest.mark.parametrize(("currency", "minimum_minor"), [("usd", 500), ("jpy", 5), ("kwd", 5000), ("isk", 500)])
def test_what_the_customer_adds_up_is_the_minimum_however_the_lines_were_rounded(
    unit_amount, regions, currency, minimum_minor
):
    books = calls(f"{{meter: calls, model: per_unit, minimum: 5, unit_amount: {unit_amount}}}", currency=currency)
    lines = rated([usage(1, f"r{number}", currency=currency) for number in range(regions)], books).lines
    rounded = sum(lines[lines.kind == "usage"].amount_minor)
    assert sum(lines.amount_minor) == max(rounded, minimum_minor)


def test_a_minimum_finer_than_the_currencys_step_is_rounded_as_an_amount_is():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1, minimum: 5.005}")
    assert bill([usage(3)], books, "kind", "unit_amount", "amount_minor") == [
        ("usage", 1, 300),
        ("minimum", Decimal("2.01"), 201),
    ]


def test_a_maximum_takes_off_what_the_meters_lines_have_beyond_it() -> None:
    books = calls("{meter: calls, model: per_unit, maximum: 5, rates: {eu: 1, us: 2}}")
    eu, us = '{"region": "eu"}', '{"region": "us"}'
    assert bill([usage(2, "us"), usage(2)], books, *KINDS) == [
        ("usage", "Calls (eu)", eu, 2, 1, 200, 1),
        ("usage", "Calls (us)", us, 2, 2, 400, 2),
        ("maximum", "Maximum for calls", "{}", 1, -1, -100, 3),
    ]
    assert bill([usage(5)], books, "amount_minor") == [(500,)]


def test_bounds_may_hold_for_each_combination() -> None:
    books = calls("{meter: calls, model: per_unit, minimum: 3, maximum: 5, scope: combination, unit_amount: 1}")
    assert bill([usage(2), usage(9, "us"), usage(4, "uk")], books, "description", "amount_minor") == [
        ("Calls (eu)", 200),
        ("Calls (uk)", 400),
        ("Calls (us)", 900),
        ("Minimum for calls (eu)", 100),
        ("Maximum for calls (us)", -400),
    ]
