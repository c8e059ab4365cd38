"""What a month needs next: the first thing that waits, and nothing behind it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing_pipeline.books.rules.next_step import MonthCounts, next_step, stages

ENDS = datetime(2026, 11, 1, 12, tzinfo=UTC)
DONE = MonthCounts(
    feed_complete_through=ENDS, last_period_end=ENDS, customers=3, events=9, snapshots=5, lines=5, drafts=0, final=3,
    gates=19, gates_passed=19, requires_approval=False, approvals=0, charges=3, paid=3, refused=0, parked=0, on_the_way=0,
    events_waiting=0, events_dead=0, closed_at=ENDS,
)  # fmt: skip
DRAFTED = replace(DONE, drafts=3, final=0, charges=0, paid=0, closed_at=None)


@pytest.mark.parametrize(
    ("month", "says"),
    [
        (replace(DRAFTED, drafts=0, feed_complete_through=None), "Import the rest"),
        (replace(DRAFTED, feed_complete_through=ENDS - timedelta(hours=1)), "Import the rest"),
        (replace(DRAFTED, drafts=0), "Draft the month"),
        (replace(DRAFTED, gates_passed=17), "2 of 19 gates"),
        (replace(DRAFTED, requires_approval=True), "then approve them"),
        (DRAFTED, "Charging makes them final"),
        (replace(DRAFTED, drafts=1), "Look at 1 draft. Charging makes it final."),
        (replace(DONE, closed_at=None, parked=1, refused=1), "1 charge is parked"),
        (replace(DONE, closed_at=None, refused=2), "2 payments are refused"),
        (replace(DONE, closed_at=None, on_the_way=1), "no answer yet"),
        (replace(DONE, closed_at=None, events_dead=1), "could not be applied"),
        (replace(DONE, closed_at=None), "close the month"),
        (DONE, "Nothing to do"),
    ],
)
def test_the_first_thing_that_waits_is_named(month: MonthCounts, says: str) -> None:
    assert says in next_step(month, ENDS, ENDS + timedelta(days=1)).text


def test_a_month_that_runs_needs_nothing() -> None:
    assert "has not ended" in next_step(replace(DRAFTED, drafts=0), ENDS, ENDS - timedelta(days=9)).text


def test_one_stage_is_the_present_one_and_those_behind_it_come_later() -> None:
    marks = [stage.mark for stage in stages(replace(DRAFTED, gates_passed=18), ENDS)]
    assert marks == ["done", "done", "done", "done", "now", "done", "later", "later", "later"]


def test_a_stage_that_went_wrong_says_so_wherever_it_is() -> None:
    by_name = {stage.name: stage.mark for stage in stages(replace(DONE, closed_at=None, refused=1, paid=2), ENDS)}
    assert (by_name["charges"], by_name["books"]) == ("wrong", "later")
