"""The days of dunning: pure rules with the time as a value."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing_pipeline.notices.dunning_policies import PACKAGED, load_policy
from billing_pipeline.notices.rules.dunning import Case, Pause, due_at, planned_steps, steps_due
from billing_pipeline.notices.rules.dunning_policy import PolicyWrong, Step, read_policy

MONDAY = datetime(2026, 11, 2, 10, tzinfo=UTC)
POLICY = load_policy(None)
CASE = Case("i", "ann", "UTC", "after_refusal", MONDAY)


def day(number: float) -> datetime:
    return MONDAY + timedelta(days=number)


def take(case: Case, now: datetime) -> tuple[list[str], Case]:
    steps = steps_due(POLICY, case, now)
    if not steps:
        return [], case
    after = replace(case, done=case.done | set(steps), last_done_at=now)
    return [step.kind or step.action for step in steps], after


def run(case: Case, days: range, *, hour: int = 0) -> dict[int, list[str]]:
    """What is taken on which day, when it is looked once a day."""
    found = {}
    for number in days:
        taken, case = take(case, day(number) + timedelta(hours=hour))
        if taken:
            found[number] = taken
    return found


def test_the_packaged_policy_keeps_the_retries_of_before():
    assert POLICY.retry_days == (1, 3, 7, 14)


def test_the_steps_come_on_their_days_and_each_once():
    assert run(CASE, range(90)) == {
        3: ["past_due", "payment_overdue"],
        10: ["grace", "final_notice"],
        21: ["suspend"],
        60: ["propose_write_off"],
    }


def test_with_payment_terms_the_days_count_from_the_due_date():
    terms = replace(CASE, track="after_due_date")
    assert run(terms, range(-10, 90)) == {
        -3: ["payment_due_soon"],
        1: ["past_due", "payment_overdue"],
        10: ["grace", "final_notice"],
        21: ["suspend"],
        60: ["propose_write_off"],
    }


def test_what_comes_late_keeps_its_distance():
    """A machine that was down for a month does not mail thrice and suspend on one day."""
    assert run(CASE, range(30, 120)) == {
        30: ["past_due", "payment_overdue"],
        37: ["grace", "final_notice"],
        49: ["suspend"],  # the 48th day is a Sunday
        88: ["propose_write_off"],
    }


def test_nobody_is_suspended_at_night_or_on_a_weekend():
    tokyo = replace(
        CASE, timezone="Asia/Tokyo", done=frozenset(POLICY.steps("after_refusal")[:4]), last_done_at=day(10)
    )
    [suspension] = [due for due in planned_steps(POLICY, tokyo, day(10)) if due.step.action == "suspend"]
    assert suspension.due_at == datetime(2026, 11, 23, 23, tzinfo=UTC)  # Tuesday 8 o'clock there
    friday = replace(tokyo, timezone="UTC", last_done_at=day(10) + timedelta(days=5))
    [suspension] = [due for due in planned_steps(POLICY, friday, day(15)) if due.step.action == "suspend"]
    assert suspension.due_at == datetime(2026, 11, 30, 8, tzinfo=UTC)  # 28 November is a Saturday


def test_a_pause_stops_the_clock():
    assert due_at(day(0), 3, [Pause(day(1), day(6))]) == day(8)
    assert due_at(day(0), 3, [Pause(day(1), day(4)), Pause(day(2), day(6))]) == day(8)  # they overlap
    assert due_at(day(0), 3, [Pause(day(-5), day(-1)), Pause(day(3.5), day(9))]) == day(3)
    assert due_at(day(0), 3, [Pause(day(1), None)]) is None
    assert due_at(day(0), 3, [Pause(day(-2), day(1))]) == day(4)


def test_nothing_is_done_while_a_promise_holds_and_the_days_go_on_after_it():
    promised = replace(CASE, pauses=(Pause(day(2), day(20)),))
    assert run(promised, range(60)) == {
        21: ["past_due", "payment_overdue"],
        28: ["grace", "final_notice"],
        39: ["suspend"],
    }
    held = replace(CASE, pauses=(Pause(day(2), None),))
    assert run(held, range(60)) == {}


def test_another_policy_in_between_repeats_nothing():
    _, case = take(CASE, day(3))
    other = read_policy(
        "name: other\nafter_refusal:\n"
        "  - {day: 2, do: mail, kind: payment_overdue}\n  - {day: 5, do: grace}\n  - {day: 9, do: suspend}\n",
        "other.yaml",
    )
    assert [due.step for due in planned_steps(other, case, day(3))] == [Step(5, "grace"), Step(9, "suspend")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[", "p.yaml: while parsing"),
        ("name: x\nother: 1", "expected name"),
        ("name: x\nafter_refusal: 3", "expected a list of steps"),
        ("name: x\nafter_refusal: [{day: 3}]", "step 1: expected day and do"),
        ("name: x\nafter_refusal: [{day: x, do: retry}]", "expected a whole number"),
        ("name: x\nafter_refusal: [{day: 3, do: shout}]", "expected one of retry"),
        ("name: x\nafter_refusal: [{day: 3, do: mail}]", "a mail has one of"),
        ("name: x\nafter_refusal: [{day: 3, do: grace, kind: final_notice}]", "other steps none"),
        ("name: x\nafter_refusal: [{day: 3, do: grace}, {day: 2, do: retry}]", "day 2 comes after day 3"),
        ("name: x\nafter_refusal: [{day: 3, do: grace}, {day: 3, do: grace}]", "twice"),
        ("name: x\nafter_refusal: [{day: 3, do: suspend}]", "needs a payment_overdue or final_notice mail before it"),
        ("name: x\nafter_refusal: [{day: 0, do: past_due}]", "expected 1 or later"),
        ("name: x\nafter_refusal: [{day: -3, do: mail, kind: payment_due_soon}]", "needs a due date"),
        ("name: x\nafter_due_date: [{day: 3, do: retry}]", "retry belongs to after_refusal"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused_by_its_place(text, named):
    with pytest.raises(PolicyWrong, match=named):
        read_policy(text, "p.yaml")
    assert PACKAGED.is_file()
