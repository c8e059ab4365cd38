"""The rules of usage -> quantity in plain Python, held against exact definitions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.usage.rules.measuring import Counted, measure

START, END = datetime(2025, 10, 1, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC)
HALF = START + (END - START) / 2


def _events(*changes: tuple[datetime, str]) -> list[Counted]:
    return [Counted(Decimal(quantity), when) for when, quantity in changes]


BEFORE = START - timedelta(days=40)


@pytest.mark.parametrize(
    ("aggregation", "events", "quantity"),
    [
        ("constant", _events(), "1"),
        ("sum", _events(), None),
        ("sum", _events((BEFORE, "5")), None),
        ("sum", _events((START, "5"), (HALF, "-2.5")), "2.5"),
        ("count", _events(), None),
        ("count", _events((BEFORE, "5")), None),
        ("count", _events((START, "5"), (HALF, "-2.5"), (END, "1")), "2"),
        ("last", _events((BEFORE, "5")), "5"),
        ("last", _events((BEFORE, "5"), (HALF, "7"), (HALF, "3")), "3"),
        ("max", _events((BEFORE, "5"), (HALF, "7"), (HALF, "3")), "5"),
        ("max", _events((BEFORE, "9"), (START, "3")), "3"),
        ("max", _events(), None),
        ("unique of user", [Counted(Decimal(1), HALF, name) for name in ("a", "b", "a", None)], "2"),
        ("unique of user", _events((HALF, "1")), None),
        ("last of deltas", _events((BEFORE, "5"), (HALF, "7"), (HALF, "-3"), (END, "9")), "9"),
        ("max of deltas", _events((BEFORE, "5"), (HALF, "7"), (HALF, "-3")), "9"),
        ("max of deltas", _events((HALF, "-3")), "0"),
        ("time_weighted of deltas", _events((BEFORE, "5"), (HALF, "7")), "8.5"),
        ("time_weighted", _events(), None),
        ("time_weighted", _events((HALF, "3")), "1.5"),
        ("time_weighted", _events((BEFORE, "1"), (HALF, "2")), "1.5"),
        ("time_weighted", _events((BEFORE, "-1"), (START + (END - START) / 3, "0")), "-0.333333333333"),
    ],
)
def test_each_aggregation(aggregation: str, events: list[Counted], quantity: str | None):
    found = measure(events, aggregation, START, END)
    assert found == (None if quantity is None else Decimal(quantity))


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="median"):
        measure([], "median", START, END)


@given(st.lists(st.decimals(min_value=-(10**17), max_value=10**17, places=12), min_size=1, max_size=20))
def test_a_sum_loses_no_digit(quantities: list[Decimal]):
    found = measure([Counted(quantity, HALF) for quantity in quantities], "sum", START, END)
    assert found is not None
    assert Fraction(found) == sum(map(Fraction, quantities))


def test_a_mean_over_the_night_of_a_clock_change_counts_hours_that_passed_not_hours_on_the_wall():
    zone = ZoneInfo("America/St_Johns")
    start, noon, end = (datetime(2026, 11, day, hour, tzinfo=zone) for day, hour in ((1, 0), (1, 12), (2, 0)))
    events = [Counted(Decimal(0), start), Counted(Decimal(25), noon)]
    # the night of 1 November has 25 hours there: 13 of them before noon
    assert measure(events, "time_weighted", start, end) == Decimal(12)


def test_of_changes_the_level_at_the_start_may_be_given_instead_of_what_came_before() -> None:
    assert measure(_events((HALF, "7")), "last of deltas", START, END, Decimal(5)) == Decimal(12)
