"""Differences: every unit of a change has exactly one cause."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.comparison.rules.month_diff import CAUSES, MonthLine, differences, unexplained, waterfalls


def _line(
    amount_minor: int,
    quantity: str = "1",
    customer_id: str = "ann",
    meter: str = "users",
    price: str = "p",
    tiers: int = 1,
    **over: str,
) -> MonthLine:
    prices = frozenset((tier, price) for tier in range(tiers))
    given = {"currency": "usd", "dimensions": "{}", "kind": "usage", "description": meter, **over}
    return MonthLine(
        customer_id=customer_id, meter=meter, quantity=Decimal(quantity), amount_minor=amount_minor, prices=prices, **given
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "causes"),
    [
        ([_line(1000, "10")], [_line(1200, "10", price="q")], {"price": 200}),
        ([_line(1000, "10")], [_line(1300, "13")], {"volume": 300}),
        ([_line(1000, "10")], [_line(1560, "13", price="q")], {"price": 260, "volume": 300}),
        ([_line(1000, "10")], [_line(1400, "16", tiers=2)], {"volume": 400}),
        ([_line(1000, "10", tiers=2)], [_line(1400, "16", price="q", tiers=1)], {"price": -200, "volume": 600}),
        ([], [_line(500)], {"new": 500}),
        ([_line(500)], [], {"lost": -500}),
        ([_line(500)], [_line(500), _line(70, meter="calls")], {"volume": 70}),
        ([_line(500), _line(70, meter="calls")], [_line(500)], {"volume": -70}),
        ([], [_line(-300, kind="adjustment")], {"other": -300}),
        ([_line(500)], [_line(500, "2", price="q")], {}),
        ([_line(0, "0")], [_line(90, "3", price="q")], {"price": 90}),
    ],
)
def test_a_change_is_told_by_its_cause(before: list[MonthLine], after: list[MonthLine], causes: dict[str, int]):
    found = differences(before, after)
    [fall] = waterfalls(before, after, found)
    assert {cause: amount for cause, amount in fall.causes.items() if amount} == causes


_LINES = st.lists(
    st.builds(
        lambda amount, quantity, customer, meter, price, currency: _line(
            amount, str(quantity), customer, meter, price, currency=currency
        ),
        st.integers(-(10**6), 10**9), st.integers(0, 1000), st.sampled_from("abc"), st.sampled_from(["m", "n"]),
        st.sampled_from("pq"), st.sampled_from(["usd", "jpy"]),
    ),
    max_size=12,
    unique_by=lambda line: line.key,
)  # fmt: skip


@given(_LINES, _LINES)
def test_causes_add_up_and_a_waterfall_arrives(before: list[MonthLine], after: list[MonthLine]):
    found = differences(before, after)
    for each in found:
        assert each.difference_minor == each.after_minor - each.before_minor != 0
        assert each.difference_minor == sum(getattr(each, f"{cause}_minor") for cause in CAUSES)
    for fall in waterfalls(before, after, found):
        assert fall.before_minor + sum(fall.causes.values()) == fall.after_minor
    assert differences(before, before) == []
    assert unexplained(found, {each.key: each.difference_minor for each in found}) == []
    assert len(unexplained(found, {})) == len(found)


def test_an_expectation_that_is_off_or_does_not_happen_is_named():
    found = differences([_line(1000)], [_line(1200, price="q")])
    key = found[0].key
    assert unexplained(found, {key: 199}) == ["ann users usage usd: a difference of 200 is expected to be 199"]
    assert unexplained([], {key: 200}) == ["ann users usage usd: a difference of 200 is expected, there is none"]
