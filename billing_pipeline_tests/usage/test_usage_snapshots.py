"""How usage becomes quantities, rule by rule."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage import usage_snapshots
from billing_pipeline_tests.month_rows import (
    BOOK,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    SMALL,
    Event,
    add_usage,
    at,
    change_customer,
    event_of_ann,
    lay,
    load_book,
)


def _measured(warehouse: Warehouse, month: date, **options: Any) -> dict[str, Decimal]:
    """Quantity by meter of a month with one customer and no fee."""
    lay(warehouse, month)
    usage_snapshots.build(warehouse, month, "run", **options)
    rows = warehouse.rows(
        "SELECT meter, quantity FROM billing.usage_snapshots WHERE billing_month = :month AND meter <> 'fee'",
        month=month,
    )
    return {row["meter"]: row["quantity"] for row in rows}


def test_usage_at_the_periods_end_belongs_to_the_next_period_and_at_its_start_to_this_one(billed):
    add_usage(
        billed,
        [
            event_of_ann("a", "calls", 1, "2025-10-01"),
            event_of_ann("b", "calls", 2, "2025-10-31T23:59:59.999999"),
            event_of_ann("c", "calls", 4, "2025-11-01"),
            event_of_ann("d", "calls", 8, "2025-09-30T23:59:59.999999"),
        ],
    )
    assert [_measured(billed, month)["calls"] for month in (NOVEMBER, OCTOBER, SEPTEMBER)] == [4, 3, 8]


def test_a_month_begins_at_midnight_of_the_customers_zone(billed):
    change_customer(billed, "ann", timezone="Asia/Tokyo")
    add_usage(
        billed,
        [event_of_ann("a", "calls", 1, "2025-09-30T15:00"), event_of_ann("b", "calls", 2, "2025-09-30T14:59:59")],
    )
    assert (_measured(billed, OCTOBER), _measured(billed, SEPTEMBER)) == ({"calls": 1}, {"calls": 2})


def test_a_level_holds_until_the_next_event_also_from_months_before(billed):
    add_usage(billed, [event_of_ann("a", "clusters", 3, "2024-02-01", dimensions=SMALL)])
    add_usage(billed, [event_of_ann("b", "clusters", 5, "2025-10-31T23:00", dimensions=SMALL)])
    assert [_measured(billed, month)["clusters"] for month in (SEPTEMBER, OCTOBER, NOVEMBER)] == [3, 5, 5]


def test_of_two_levels_at_one_instant_the_later_received_holds_then_the_higher_event_id(billed):
    noon = "2025-10-05T12:00"
    add_usage(
        billed,
        [
            event_of_ann("z", "peak", 9, noon, received_at=at("2025-10-06")),
            event_of_ann("m", "peak", 2, noon, received_at=at("2025-10-07")),
            event_of_ann("n", "peak", 4, noon, received_at=at("2025-10-07")),
        ],
    )
    assert _measured(billed, OCTOBER) == {"peak": 4}, "9 and 2 were replaced at the instant they began"


def _measured_as_peak_and_last(warehouse: Warehouse, month: date) -> tuple[Decimal, Decimal]:
    return _measured(warehouse, month)["peak"], _measured(warehouse, month)["clusters"]


def _pair(noon: str, *, first: int, second: int) -> list[Event]:
    """Two levels at one instant, of a peak and of a last level, in one import; the second is in force."""
    return [
        event_of_ann(f"{meter}-{name}", meter, quantity, noon, received_at=at("2025-10-06"), dimensions=dimensions)
        for meter, dimensions in (("peak", {}), ("clusters", SMALL))
        for name, quantity in (("A", first), ("b", second))
    ]


def test_correcting_an_event_that_was_never_in_force_changes_nothing(billed):
    noon = "2025-10-05T12:00"
    add_usage(billed, _pair(noon, first=5, second=7))
    assert _measured_as_peak_and_last(billed, OCTOBER) == (7, 7)
    more = {"received_at": at("2025-10-08")}
    add_usage(billed, [event_of_ann("p2", "peak", 6, noon, corrects="peak-A", **more)])
    add_usage(billed, [event_of_ann("c2", "clusters", 6, noon, corrects="clusters-A", dimensions=SMALL, **more)])
    assert _measured_as_peak_and_last(billed, OCTOBER) == (7, 7)
    add_usage(billed, [event_of_ann("p3", "peak", 1, noon, corrects="p2", **more)])
    add_usage(billed, [event_of_ann("c3", "clusters", 1, noon, corrects="c2", dimensions=SMALL, **more)])
    assert _measured_as_peak_and_last(billed, OCTOBER) == (7, 7)
    assert _measured_as_peak_and_last(billed, NOVEMBER) == (7, 7), "nor as the level before the period"
    add_usage(billed, [event_of_ann("p4", "peak", 9, noon, corrects="peak-b", **more)])
    add_usage(billed, [event_of_ann("c4", "clusters", 9, noon, corrects="clusters-b", dimensions=SMALL, **more)])
    assert _measured_as_peak_and_last(billed, OCTOBER) == (9, 9)
    assert _measured_as_peak_and_last(billed, NOVEMBER) == (9, 9)


def test_a_removed_event_never_was_so_the_level_before_it_holds_on(billed):
    add_usage(billed, [event_of_ann("before", "peak", 5, "2025-10-01"), event_of_ann("wrong", "peak", 9, "2025-10-10")])
    add_usage(billed, [event_of_ann("a", "calls", 100, "2025-10-05"), event_of_ann("b", "calls", 7, "2025-10-06")])
    assert _measured(billed, OCTOBER) == {"peak": 9, "calls": 107}
    gone = {"removes": True, "received_at": at("2025-10-12")}
    add_usage(billed, [event_of_ann("x", "peak", 0, "2025-10-10", corrects="wrong", **gone)])
    add_usage(billed, [event_of_ann("y", "calls", 0, "2025-10-05", corrects="a", **gone)])
    assert _measured(billed, OCTOBER) == {"peak": 5, "calls": 7}
    assert _measured(billed, NOVEMBER) == {"peak": 5}
    assert _measured(billed, OCTOBER, as_of=at("2025-10-11")) == {"peak": 9, "calls": 107}
    counted = "SELECT meter, event_count FROM billing.usage_snapshots WHERE billing_month = :m AND meter = 'calls'"
    _measured(billed, OCTOBER)
    assert billed.rows(counted, m=OCTOBER) == [{"meter": "calls", "event_count": 1}]


def test_the_opening_level_does_not_count_for_the_peak_if_it_changes_as_the_period_begins(billed):
    add_usage(billed, [event_of_ann("a", "peak", 9, "2025-09-20"), event_of_ann("b", "peak", 3, "2025-10-01")])
    assert _measured(billed, OCTOBER) == {"peak": 3}
    assert _measured(billed, SEPTEMBER) == {"peak": 9}


def test_a_level_is_weighted_by_the_part_of_the_period_it_held(billed):
    """October: nothing for 10 of 31 days, then 31: the average is 21. Rounded half away from zero to 12 places."""
    add_usage(billed, [event_of_ann("a", "storage", 31, "2025-10-11")])
    assert _measured(billed, OCTOBER) == {"storage": 21}
    add_usage(billed, [event_of_ann("b", "storage", "31.000000000001", "2025-10-11", received_at=at("2025-10-12"))])
    assert _measured(billed, OCTOBER) == {"storage": Decimal("21.000000000001")}, "…21.00000000000068"
    add_usage(billed, [event_of_ann("c", "storage", 99999999999, "2025-10-21", received_at=at("2025-10-22"))])
    level = (Decimal("31.000000000001") * 10 + Decimal(99999999999) * 11) / 31
    assert _measured(billed, OCTOBER) == {"storage": level.quantize(Decimal("1e-12"))}


def test_a_month_in_which_clocks_change_is_as_long_as_it_was(billed):
    """October in Berlin has 745 hours: the level set for its last 149 hours is a fifth of the month's."""
    change_customer(billed, "ann", timezone="Europe/Berlin")
    add_usage(billed, [event_of_ann("a", "storage", 5, "2025-10-25T18:00")])
    assert _measured(billed, OCTOBER) == {"storage": 1}


def test_a_constant_meter_is_one_a_period_whatever_was_sent(billed):
    add_usage(billed, [event_of_ann("a", "fee", 7, "2025-10-05")])
    for month in (OCTOBER, NOVEMBER):
        lay(billed, month)
        usage_snapshots.build(billed, month, "run")
    rows = billed.rows("SELECT quantity, event_count FROM billing.usage_snapshots ORDER BY billing_month")
    assert rows == [{"quantity": 1, "event_count": 1}, {"quantity": 1, "event_count": 0}]


def test_a_level_of_zero_without_events_leaves_no_row(billed):
    add_usage(billed, [event_of_ann("a", "peak", 3, "2025-09-05"), event_of_ann("b", "peak", 0, "2025-10-05")])
    assert [_measured(billed, month) for month in (SEPTEMBER, OCTOBER, NOVEMBER)] == [{"peak": 3}, {"peak": 3}, {}]


def test_a_corrected_event_counts_only_as_of_before_its_correction(billed):
    add_usage(
        billed,
        [
            event_of_ann("a", "calls", 100, "2025-10-05"),
            event_of_ann("a2", "calls", 10, "2025-10-05", received_at=at("2025-11-02"), corrects="a"),
            event_of_ann("a3", "calls", 11, "2025-10-05", received_at=at("2025-11-03"), corrects="a2"),
            event_of_ann("new", "calls", 1000, "2025-10-06", received_at=at("2025-11-04"), adds=True),
        ],
    )
    as_of = [at("2025-10-04"), at("2025-11-01"), at("2025-11-02"), at("2025-11-03"), at("2025-11-04")]
    measured = [_measured(billed, OCTOBER, as_of=instant).get("calls") for instant in as_of]
    assert measured == [None, 100, 10, 11, 1011]
    assert billed.scalar("SELECT basis FROM billing.usage_snapshots WHERE meter = 'calls'") == "corrected"


def test_dimensions_are_the_same_whatever_their_order_and_names_sort_by_bytes(billed):
    load_book(
        billed,
        BOOK.replace("dimensions: [size, environment]", "dimensions: [environment, Size, b_c, bA]").replace(
            'rates: {small: {production: "40"}, large: {production: "160"}}', 'unit_amount: "40"'
        ),
    )
    names = ["bA", "Size", "environment", "b_c"]
    add_usage(
        billed,
        [
            event_of_ann("a", "clusters", 1, "2025-10-05", dimensions=dict.fromkeys(names, "x")),
            event_of_ann("b", "clusters", 2, "2025-10-06", dimensions=dict.fromkeys(reversed(names), "x")),
        ],
    )
    assert _measured(billed, OCTOBER) == {"clusters": 2}


def test_the_cut_off_is_recorded_and_defaults_to_now(billed):
    lay(billed, OCTOBER)
    before: datetime = billed.scalar("SELECT clock_timestamp()")
    built = usage_snapshots.build(billed, OCTOBER, "run")
    assert before < built.as_of
    assert billed.scalar("SELECT as_of FROM billing.asset_months WHERE asset = 'usage_snapshots'") == built.as_of
