"""When a refused payment is tried again, and when it waits."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.charging.rules.retry_schedule import MAY_SUCCEED_LATER, RETRY_DAYS, WAITS_FOR, next_retry
from billing_pipeline.stripe_gateway.rules.errors import TABLE, Outcome

REFUSED = datetime(2026, 11, 2, 12, tzinfo=UTC)
OF_REFUNDS = {"already_refunded", "disputed"}
REFUSALS = {verdict.reason_code for verdict in TABLE.values() if verdict.outcome is Outcome.REFUSED} - OF_REFUNDS


def test_every_refusal_of_the_error_table_is_tried_again_or_waits_for_something_named():
    assert {*MAY_SUCCEED_LATER, *WAITS_FOR} == REFUSALS
    assert not MAY_SUCCEED_LATER & WAITS_FOR.keys()


@pytest.mark.parametrize("reason_code", sorted(MAY_SUCCEED_LATER))
def test_retries_come_one_three_seven_and_fourteen_days_after_the_first_refusal(reason_code):
    refused_at, days = REFUSED, []
    for retries_made in range(len(RETRY_DAYS)):
        retry = next_retry(reason_code, refused_at, retries_made)
        assert retry.due_at is not None
        assert f"retry {retries_made + 1} of 4" in retry.cause
        refused_at = retry.due_at
        days.append((refused_at - REFUSED).days)
    assert days == [1, 3, 7, 14]
    last = next_retry(reason_code, refused_at, len(RETRY_DAYS))
    assert last.due_at is None
    assert "refused 5 times" in last.cause


def test_a_retry_that_came_late_keeps_its_distance_from_the_next():
    late = REFUSED + timedelta(days=20)
    assert next_retry("declined", late, 1).due_at == late + timedelta(days=2)


@pytest.mark.parametrize("reason_code", [*sorted(REFUSALS - MAY_SUCCEED_LATER), "unheard_of", None])
def test_what_time_does_not_change_is_not_tried_again(reason_code):
    retry = next_retry(reason_code, REFUSED, 0)
    assert retry.due_at is None
    assert retry.cause.startswith("waits for ")


def test_the_schedule_is_settable_and_may_be_empty():
    assert next_retry("declined", REFUSED, 0, (5,)).due_at == REFUSED + timedelta(days=5)
    assert next_retry("declined", REFUSED, 1, (5,)).due_at is None
    assert next_retry("declined", REFUSED, 0, ()).due_at is None


def test_a_day_of_the_schedule_has_24_hours_also_where_the_clocks_change():
    refused_at = datetime(2026, 10, 31, 12, tzinfo=ZoneInfo("America/St_Johns"))
    retry = next_retry("insufficient_funds", refused_at, 0)
    assert retry.due_at is not None
    assert retry.due_at - refused_at.astimezone(UTC) == timedelta(days=1)
