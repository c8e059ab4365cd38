"""What an unusual hour is, on hours that were worked out by hand."""

import pytest

from billing_pipeline.notices.rules.anomalies import NEIGHBOURS, Hour, unusual, unusual_amount
from billing_pipeline.sandbox.bench.anomalies import measure_amounts, measure_anomalies


def weeks(*quantities: float, events: int = 100) -> list[list[Hour]]:
    """The same hour of the weeks before, its neighbours alike."""
    return [[Hour(quantity, events if quantity else 0)] * len(NEIGHBOURS) for quantity in quantities]


STEADY = weeks(100, 102, 98, 101, 99, 100, 103, 97)


@pytest.mark.parametrize(
    ("hour", "is_unusual"),
    [
        (Hour(100, 100), False),
        (Hour(250, 250), False),  # 2.5 times: 5.1 spreads
        (Hour(300, 300), True),
        (Hour(40, 40), False),
        (Hour(20, 20), True),
        (Hour(0, 0), True),
        (Hour(300, 110), False),  # ten large events more are no pattern
    ],
)
def test_three_times_as_much_or_a_fifth_is_unusual(hour, is_unusual):
    assert (unusual(hour, STEADY) is not None) == is_unusual


def test_it_says_what_is_usual_and_how_far_it_is_from_that():
    found = unusual(Hour(1000, 1000), STEADY)
    assert found is not None
    assert (found.usual, round(found.spreads, 1)) == (100, 12.8)
    drop = unusual(Hour(0, 0), STEADY)
    assert drop is not None
    assert drop.spreads < -20


def test_what_varies_much_has_to_move_much():
    wild = weeks(20, 500, 60, 300, 100, 900, 40, 250)
    assert unusual(Hour(1500, 1500), wild) is None


def test_without_enough_weeks_nobody_knows():
    assert unusual(Hour(1000, 1000), weeks(100, 100, 100)) is None
    assert unusual(Hour(1000, 1000), weeks(100, 100, 100, 0, 0, 0, 0, 0)) is None  # began three weeks ago
    assert unusual(Hour(1000, 1000), weeks(100, 100, 100, 100)) is not None


def test_an_hour_that_is_usually_quiet_is_not_judged():
    assert unusual(Hour(1000, 1000), weeks(0, 0, 0, 100, 0, 0, 0, 100)) is None


def test_a_few_events_vary_by_chance():
    assert unusual(Hour(9, 18), weeks(*[2.0] * 8, events=2)) is None


def test_injected_spikes_and_drops_are_found_with_few_false_alarms():
    figures = measure_anomalies()
    assert figures["recall"] >= 0.9
    assert figures["false_alarms_per_10000_hours"] <= 5


@pytest.mark.parametrize(
    ("amount_minor", "days", "is_unusual"),
    [
        (31_000, 31, False),
        (60_000, 31, False),
        (70_000, 31, True),
        (15_000, 31, False),
        (14_000, 31, True),
        (0, 31, True),
        (10_000, 10, False),  # ten days at the usual price
        (70_000, 62, False),
    ],
)
def test_a_month_at_twice_or_half_of_what_is_usual_is_unusual(amount_minor, days, is_unusual):
    before = [1000.0, 1020, 980, 1010, 990, 1000, 1005, 995]
    assert (unusual_amount(amount_minor, days, before) is not None) == is_unusual


def test_months_that_vary_or_are_few_or_cheap_are_not_unusual():
    assert unusual_amount(150_000, 30, [200.0, 5000, 600, 3000, 1000, 9000, 400, 2500]) is None
    assert unusual_amount(150_000, 30, [1000.0, 1000, 1000]) is None
    assert unusual_amount(150_000, 30, [1000.0, 1000, 1000, 0, 0, 0, 0, 0]) is None  # began three months ago
    assert unusual_amount(0, 30, [30.0] * 8) is None  # nine units of money less


def test_injected_amounts_are_found_with_few_false_alarms():
    figures = measure_amounts()
    assert figures["recall"] >= 0.9
    assert figures["false_alarms_per_10000_months"] <= 50
