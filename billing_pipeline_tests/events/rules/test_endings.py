"""How long an event is tried, and what it ends as."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.events.rules.endings import ClaimedEvent, Patience, ending, failed, is_over
from billing_pipeline.events.rules.stripe_events import Applied, Awaited, Busy, Ignored

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EVENT = ClaimedEvent("evt_1", "invoice.paid", "in_1", SINCE, attempt=3, failures=2, pending_since=SINCE)


@given(st.integers(min_value=1, max_value=10_000))
def test_pauses_grow_to_a_limit(times: int) -> None:
    patience = Patience()
    assert patience.first_s <= patience.delay_s(times) <= patience.delay_s(times + 1) <= patience.longest_s


def test_a_definite_error_ends_by_count_and_an_outage_by_time() -> None:
    patience = Patience()
    assert not is_over(patience, failures=5, definite=True, pending_s=1e6)
    assert is_over(patience, failures=6, definite=True, pending_s=0)
    assert not is_over(patience, failures=500, definite=False, pending_s=86_399)
    assert is_over(patience, failures=1, definite=False, pending_s=86_400)


@pytest.mark.parametrize(
    ("verdict", "after", "state", "rest_s"),
    [
        (Applied(), DAY, "applied", None),
        (Ignored("not ours"), DAY, "ignored", None),
        (Busy(), DAY, "pending", 3),
        (Awaited("its invoice"), timedelta(seconds=1), "waiting", 40),
        (Awaited("its invoice"), DAY, "dead", None),
        (Awaited("its invoice", dispensable=True), DAY, "ignored", None),
    ],
)
def test_a_verdict_ends_an_attempt_or_lets_it_rest(verdict, after, state, rest_s):
    found = ending(EVENT, verdict, Patience(), SINCE + after)
    assert (found.state, found.failures) == (state, 2)
    assert found.due_at == (None if rest_s is None else SINCE + after + timedelta(seconds=rest_s))


def test_an_event_that_failed_rests_until_it_has_failed_too_often():
    first = failed(EVENT, "no such column", Patience(), SINCE, definite=True)
    assert (first.state, first.failures, first.due_at) == ("pending", 3, SINCE + timedelta(seconds=40))
    last = failed(EVENT, "no such column", Patience(failures_max=3), SINCE, definite=True)
    assert (last.state, last.error, last.due_at) == ("dead", "no such column", None)
