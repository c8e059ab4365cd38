"""Billing periods: cycles, time zones, and the month a period is billed in."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing_pipeline.core.timezones import is_timezone, start_of_day
from billing_pipeline.customers.rules.billing_cycle import Cycle, add_months, parse_cycle
from billing_pipeline.invoicing.rules.periods import billing_month, periods_billed_in

ZONES = sorted(zone for zone in available_timezones() if is_timezone(zone))
MONTHLY = Cycle()
SECOND = timedelta(seconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def months(first: date, count: int) -> Iterator[date]:
    month = first
    for _ in range(count):
        yield month
        month = (month + timedelta(days=31)).replace(day=1)


@pytest.mark.parametrize("text", [None, "", " ", "calendar_month", "Calendar_Month"])
def test_blank_means_calendar_months(text):
    assert parse_cycle(text, None) == Cycle()


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("30_days", 30), ("fixed_days", 30), ("days", 30), ("fixed_30_days", 30), ("30d", 30),
        ("days_30", 30), ("30 days", 30), ("1_days", 1), ("366_days", 366), ("7d", 7),
    ],
)  # fmt: skip
def test_an_n_day_cycle_has_many_spellings_and_one_canonical(text, days):
    cycle = parse_cycle(text, date(2025, 1, 31))
    assert (cycle.days, cycle.anchor, cycle.text) == (days, date(2025, 1, 31), f"{days}_days")
    assert parse_cycle(cycle.text, cycle.anchor) == cycle


@pytest.mark.parametrize(
    ("text", "anchor", "message"),
    [
        (
            "weekly",
            None,
            "billing_cycle 'weekly': expected calendar_month, monthly, quarterly, yearly, 1 to 60 months such as 6_months",
        ),
        ("-30_days", date(2025, 1, 1), "billing_cycle '-30_days': expected"),
        ("0_days", date(2025, 1, 1), "a cycle of 0 days: expected 1 to 366 days"),
        ("367_days", date(2025, 1, 1), "a cycle of 367 days: expected 1 to 366 days"),
        ("30_days", None, "a cycle of 30 days needs a cycle_anchor"),
    ],
)
def test_another_cycle_is_refused_with_what_was_expected(text, anchor, message):
    with pytest.raises(ValueError, match=message):
        parse_cycle(text, anchor)


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Asia/Kathmandu"])
def test_iana_names_are_zones(name):
    assert is_timezone(name)


@pytest.mark.parametrize(
    "name", ["", "Europe", "europe/berlin", "CEST", "+02:00", "../etc/passwd", "localtime", "Factory"]
)
def test_other_names_are_no_zones(name):
    assert not is_timezone(name)


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("Europe/Berlin", date(2026, 10, 1), "2026-09-30T22:00:00"),
        ("Asia/Kathmandu", date(2026, 10, 1), "2026-09-30T18:15:00"),
        # Midnight does not exist: the day starts at 01:00.
        ("Asia/Beirut", date(2022, 3, 27), "2022-03-26T22:00:00"),
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00:00"),
        ("America/Asuncion", date(2023, 10, 1), "2023-10-01T04:00:00"),
        ("America/Santiago", date(2024, 9, 8), "2024-09-08T04:00:00"),
        ("Africa/Cairo", date(2023, 4, 28), "2023-04-27T22:00:00"),
        # The gap begins half an hour before midnight: the day starts at 00:30.
        ("America/Toronto", date(1919, 3, 31), "1919-03-31T04:30:00"),
        # Midnight happens twice: the first.
        ("America/Havana", date(2025, 11, 2), "2025-11-02T04:00:00"),
        ("America/St_Johns", date(2006, 10, 29), "2006-10-29T02:30:00"),
        # The whole date is skipped: the next one's start.
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00:00"),
        ("Pacific/Apia", date(2011, 12, 31), "2011-12-30T10:00:00"),
        ("Pacific/Kiritimati", date(1995, 1, 1), "1994-12-31T10:00:00"),
    ],
)
def test_a_day_starts_at_its_first_instant(zone, day, start):
    assert start_of_day(day, zone) == utc(start)


@given(zone=st.sampled_from(ZONES), day=st.dates(date(1900, 1, 2), date(2100, 1, 1)))
@example("Pacific/Apia", date(2011, 12, 30))
@example("America/St_Johns", date(2006, 10, 29))
@example("America/Toronto", date(1919, 3, 31))
@settings(max_examples=300)
def test_no_earlier_instant_belongs_to_the_day(zone, day):
    start = start_of_day(day, zone)
    assert start.astimezone(ZoneInfo(zone)).date() >= day
    assert (start - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date() < day


ODD_ZONES = "Asia/Beirut Asia/Gaza America/Asuncion America/Havana Africa/Cairo America/St_Johns Pacific/Apia"


@pytest.mark.parametrize("zone", ODD_ZONES.split())
def test_every_day_from_1980_to_2030_starts_at_its_first_instant(zone):
    info = ZoneInfo(zone)
    for n in range((date(2030, 1, 1) - date(1980, 1, 1)).days):
        day = date(1980, 1, 1) + timedelta(days=n)
        start = start_of_day(day, zone)
        assert start.astimezone(info).date() >= day
        assert (start - SECOND).astimezone(info).date() < day


@given(
    zone=st.sampled_from(ZONES),
    first=st.dates(date(1970, 1, 1), date(2090, 1, 1)).map(lambda day: day.replace(day=1)),
    days=st.none() | st.integers(1, 366),
    anchor=st.dates(date(1970, 1, 1), date(2090, 1, 1)),
)
@example("Pacific/Apia", date(2011, 11, 1), 1, date(2011, 12, 1))
@example("Pacific/Kiritimati", date(1994, 11, 1), 1, date(1994, 11, 1))
@example("Pacific/Kiritimati", date(1994, 11, 1), 30, date(1994, 12, 2))
@example("Pacific/Kiritimati", date(1994, 11, 1), None, date(1994, 12, 31))
@example("America/St_Johns", date(2006, 9, 1), 1, date(2006, 1, 1))
@settings(max_examples=300)
def test_the_periods_of_consecutive_months_tile_time(zone, first, days, anchor):
    cycle = Cycle(days, anchor)
    periods = [p for month in months(first, 14) for p in periods_billed_in(month, zone, cycle)]
    for before, after in pairwise(periods):
        assert before.end == after.start
    for period in periods:
        assert period.start < period.end
        assert period.start_date >= anchor
        assert billing_month(period.end, zone) == period.billing_month
        # A zone's clocks move by a day at the most (the date line).
        nominal = period.end_date - period.start_date
        assert abs((period.end - period.start) - nominal) <= timedelta(days=1)
        if days is not None:
            assert nominal.days == days
            assert (period.start_date - anchor).days % days == 0
    if periods and anchor >= first:
        assert periods[0].start == start_of_day(anchor, zone)


@given(
    zone=st.sampled_from(ZONES),
    days=st.none() | st.integers(1, 60),
    anchor=st.dates(date(1975, 1, 1), date(2080, 1, 1)),
    offset_s=st.integers(0, 300 * 86400),
)
@settings(max_examples=200)
def test_every_instant_after_the_anchor_belongs_to_exactly_one_period(zone, days, anchor, offset_s):
    instant = start_of_day(anchor, zone) + timedelta(seconds=offset_s)
    month = instant.date().replace(day=1) - timedelta(days=31)
    around = months(month.replace(day=1), 6)
    found = [p for m in around for p in periods_billed_in(m, zone, Cycle(days, anchor)) if p.start <= instant < p.end]
    assert len(found) == 1


@given(
    zone=st.sampled_from(ZONES),
    months_each=st.integers(1, 60),
    anchor=st.dates(date(2015, 1, 1), date(2035, 12, 31)),
)
@example("Pacific/Apia", 1, date(2011, 10, 30))
@example("Africa/Cairo", 12, date(2016, 2, 29))
@settings(max_examples=60)
def test_months_from_an_anchor_tile_time_and_are_clamped_from_the_anchor(zone, months_each, anchor):
    cycle = Cycle(months=months_each, anchor=anchor)
    found = [p for m in months(anchor.replace(day=1), 130) for p in periods_billed_in(m, zone, cycle)]
    for number, period in enumerate(found):
        assert period.start_date == add_months(anchor, number * months_each)
        assert period.end_date == add_months(anchor, (number + 1) * months_each)
    assert all(before.end == after.start for before, after in pairwise(found))


def test_the_31st_is_clamped_from_the_anchor_never_from_the_period_before():
    cycle = parse_cycle("monthly", date(2026, 1, 31))
    found = [p for month in months(date(2026, 1, 1), 6) for p in periods_billed_in(month, "UTC", cycle)]
    starts = [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31)]
    assert [period.start_date for period in found] == starts
    assert found[-1].end_date == date(2026, 6, 30)


@pytest.mark.parametrize(
    ("text", "count", "canonical"),
    [("monthly", 1, "monthly"), ("quarterly", 3, "3_months"), ("yearly", 12, "12_months"), ("6 months", 6, "6_months")],
)
def test_months_have_names_and_one_canonical_spelling(text, count, canonical):
    cycle = parse_cycle(text, date(2026, 1, 1))
    assert (cycle.months, cycle.text, parse_cycle(canonical, cycle.anchor)) == (count, canonical, cycle)


def test_a_leap_february_is_one_period_of_29_days():
    [period] = periods_billed_in(date(2028, 2, 1), "Europe/Berlin", MONTHLY)
    assert (period.start, period.end) == (utc("2028-01-31T23:00:00"), utc("2028-02-29T23:00:00"))
    assert (period.start_date, period.end_date) == (date(2028, 2, 1), date(2028, 3, 1))
    assert period.billing_month == date(2028, 2, 1)


def test_a_month_in_which_clocks_change_is_an_hour_longer_or_shorter():
    [march] = periods_billed_in(date(2026, 3, 1), "Europe/Berlin", MONTHLY)
    [october] = periods_billed_in(date(2026, 10, 1), "Europe/Berlin", MONTHLY)
    assert march.end - march.start == timedelta(days=31, hours=-1)
    assert october.end - october.start == timedelta(days=31, hours=1)


def test_thirty_days_anchored_on_the_31st_count_from_the_anchor():
    cycle = parse_cycle("30_days", date(2026, 1, 31))
    spans = [
        (p.start_date, p.end_date)
        for month in months(date(2026, 1, 1), 4)
        for p in periods_billed_in(month, "UTC", cycle)
    ]
    starts = [date(2026, 1, 31), date(2026, 3, 2), date(2026, 4, 1), date(2026, 5, 1)]
    assert spans == list(pairwise(starts))


def test_thirty_day_cycles_may_end_twice_in_a_month_or_not_at_all():
    cycle = Cycle(30, date(2026, 7, 2))
    assert [len(periods_billed_in(m, "UTC", cycle)) for m in months(date(2026, 6, 1), 3)] == [0, 1, 1]
    assert len(periods_billed_in(date(2026, 8, 1), "UTC", Cycle(30, date(2026, 7, 3)))) == 2
    assert periods_billed_in(date(2027, 2, 1), "UTC", Cycle(30, date(2026, 8, 1) - timedelta(days=30))) != []
    assert periods_billed_in(date(2026, 2, 1), "UTC", Cycle(31, date(2026, 1, 1))) == []


def test_an_anchor_on_a_calendar_month_customer_is_the_first_billed_day():
    cycle = parse_cycle("calendar_month", date(2026, 3, 15))
    assert periods_billed_in(date(2026, 2, 1), "UTC", cycle) == []
    [first] = periods_billed_in(date(2026, 3, 1), "UTC", cycle)
    [second] = periods_billed_in(date(2026, 4, 1), "UTC", cycle)
    assert (first.start_date, first.end_date, second.start_date) == (
        date(2026, 3, 15),
        date(2026, 4, 1),
        date(2026, 4, 1),
    )


def test_a_month_is_billed_by_its_last_instant_in_the_customers_zone():
    assert billing_month(utc("2026-11-01T10:00:00"), "Pacific/Honolulu") == date(2026, 10, 1)
    assert billing_month(utc("2026-11-01T10:00:00"), "UTC") == date(2026, 11, 1)


def test_a_month_is_named_by_its_first_day():
    with pytest.raises(ValueError, match="expected the first day of a month"):
        periods_billed_in(date(2026, 10, 2), "UTC", MONTHLY)
