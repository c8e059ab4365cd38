"""When a charge without an answer is asked about again."""

from datetime import UTC, datetime, timedelta

from billing_pipeline.charging.rules.unknown_outcomes import ASKS_MAX, next_question

LEFT = datetime(2026, 11, 2, 12, tzinfo=UTC)


def gaps(*, unknown: bool, count: int) -> list[timedelta | None]:
    found = [next_question(LEFT, asked, unknown=unknown).due_at for asked in range(count)]
    return [due - LEFT if due is not None else None for due in found]


def test_an_unknown_outcome_is_asked_about_after_5_min_1_h_6_h_then_daily_then_parked():
    minute, hour, day = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
    assert gaps(unknown=True, count=ASKS_MAX + 1) == [5 * minute, hour, 6 * hour, *[day] * 7, None]


def test_what_only_waits_is_asked_about_for_as_long_as_it_waits():
    assert gaps(unknown=False, count=40)[-1] == timedelta(days=1)
