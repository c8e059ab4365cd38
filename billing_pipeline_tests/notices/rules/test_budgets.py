"""Which shares of a budget are told, and which is reached: pure rules."""

from decimal import Decimal

from billing_pipeline.notices.rules.budgets import highest_reached, thresholds


def test_the_highest_share_that_is_reached():
    percents = thresholds([100, 50, 80, 50])
    assert percents == [50, 80, 100]
    assert [highest_reached(Decimal(so_far), Decimal(10), percents) for so_far in ("4.99", "5", "9.9", "30")] == [
        None, 50, 80, 100,
    ]  # fmt: skip
    assert highest_reached(Decimal(-5), Decimal(10), percents) is None
