"""When a notice goes out: pure rules with the time as a value."""

from datetime import UTC, datetime, time, timedelta

from billing_pipeline.notices.rules.sending import WAITS, Hours, next_attempt, not_before

WEDNESDAY = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def test_waits_grow_and_end_after_three_days():
    waits = [next_attempt(number, WEDNESDAY) for number in range(1, len(WAITS) + 2)]
    assert waits[0] == WEDNESDAY + timedelta(minutes=1)
    assert waits[-1] is None
    assert list(WAITS) == sorted(WAITS)
    assert timedelta(days=2) < sum(WAITS, timedelta()) < timedelta(days=4)


def test_what_can_wait_comes_by_day_on_a_working_day_where_the_customer_is():
    assert not_before("payment_failed", datetime(2026, 11, 29, 3, tzinfo=UTC), "UTC").day == 29
    assert not_before("payment_overdue", WEDNESDAY, "Europe/Berlin") == WEDNESDAY
    assert not_before("payment_overdue", WEDNESDAY, "Asia/Tokyo") == datetime(2026, 11, 25, 23, tzinfo=UTC)
    friday_evening = datetime(2026, 11, 27, 19, tzinfo=UTC)
    assert not_before("final_notice", friday_evening, "UTC") == datetime(2026, 11, 30, 8, tzinfo=UTC)
    early = datetime(2026, 11, 25, 5, tzinfo=UTC)
    assert not_before("final_notice", early, "UTC") == datetime(2026, 11, 25, 8, tzinfo=UTC)


def test_other_hours_may_be_chosen_also_for_weekends():
    hours = Hours(time(6), time(22), on_weekends=True)
    saturday = datetime(2026, 11, 28, 21, 59, tzinfo=UTC)
    assert not_before("final_notice", saturday, "UTC", hours) == saturday
    assert not_before("final_notice", saturday + timedelta(minutes=1), "UTC", hours) == datetime(
        2026, 11, 29, 6, tzinfo=UTC
    )
    weekdays = Hours(time(6), time(22))
    assert not_before("final_notice", saturday, "UTC", weekdays) == datetime(2026, 11, 30, 6, tzinfo=UTC)
