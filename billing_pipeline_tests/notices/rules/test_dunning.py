"""The days of dunning: pure rules with the time as a value."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.charging.rules.refusals import Cause, Refusal, cause_of
from billing_pipeline.notices.dunning_policies import PACKAGED, load_policy
from billing_pipeline.notices.rules.dunning import Case, Pause, due_at, planned_steps, steps_due
from billing_pipeline.notices.rules.dunning_policy import Course, Policy, Step
from billing_pipeline.notices.rules.dunning_policy_file import PolicyWrong, read_policy

MONDAY = datetime(2026, 11, 2, 10, tzinfo=UTC)
POLICY = load_policy(None)
SOFT = Refusal("ann", None, "usd", Cause.SOFT)
HARD = Refusal("ann", None, "usd", Cause.HARD)
CASE = Case("i", SOFT, "UTC", "after_refusal", MONDAY)


def day(number: float) -> datetime:
    return MONDAY + timedelta(days=number)


def take(case: Case, now: datetime, policy: Policy = POLICY) -> tuple[list[str], Case]:
    steps = steps_due(policy, case, now)
    if not steps:
        return [], case
    after = replace(case, done=(*case.done, *steps), last_done_at=now)
    return [step.kind or step.action for step in steps], after


def run(case: Case, days: range, policy: Policy = POLICY) -> dict[int, list[str]]:
    """What is taken on which day, when it is looked once a day."""
    found = {}
    for number in days:
        taken, case = take(case, day(number), policy)
        if taken:
            found[number] = taken
    return found


def test_the_packaged_policy_keeps_the_retries_of_before():
    assert POLICY.course_of(SOFT).retry_days == (1, 3, 7, 14)


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
        CASE, timezone="Asia/Tokyo", done=POLICY.course_of(SOFT).steps("after_refusal")[:4], last_done_at=day(10)
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


def policy(*courses: str) -> Policy:
    return read_policy("name: other\ncourses:\n" + "".join(f"  - {course}\n" for course in courses), "other.yaml")


OVERDUE, FINAL = "{day: %d, do: mail, kind: payment_overdue}", "{day: %d, do: mail, kind: final_notice}"


def test_another_policy_in_between_repeats_nothing():
    _, case = take(CASE, day(3))
    other = policy(f"{{name: a, after_refusal: [{OVERDUE % 2}, {{day: 5, do: grace}}, {{day: 9, do: suspend}}]}}")
    assert [due.step for due in planned_steps(other, case, day(3))] == [Step(5, "grace"), Step(9, "suspend")]


@pytest.mark.parametrize(
    ("reason_code", "by_bank", "cause"),
    [
        ("declined", False, "soft"), ("insufficient_funds", True, "debit"), ("expired_card", False, "hard"),
        ("account_closed", True, "hard"), ("no_payment_method", False, "no_method"),
        ("action_required", False, "action_required"), (None, False, "other"), ("new_code", True, "other"),
    ],
)  # fmt: skip
def test_what_follows_depends_on_why_it_was_refused(reason_code, by_bank, cause):
    assert cause_of(reason_code, by_bank=by_bank) == cause
    expected = {"hard": "another method", "debit": "debit"}.get(cause, "standard")
    assert POLICY.course_of(replace(SOFT, cause=Cause(cause))).name == expected


def test_what_is_final_goes_faster_and_a_debit_slower():
    assert run(replace(CASE, refusal=HARD), range(90)) == {
        1: ["past_due", "payment_overdue"],
        7: ["grace", "final_notice"],
        14: ["suspend"],
        60: ["propose_write_off"],
    }
    debit = replace(SOFT, cause=Cause.DEBIT)
    assert run(replace(CASE, refusal=debit), range(90)) == {
        5: ["past_due", "payment_overdue"],
        16: ["grace", "final_notice"],
        28: ["suspend"],
        60: ["propose_write_off"],
    }
    assert POLICY.course_of(debit).retry_days == (3, 10)
    assert POLICY.course_of(HARD).retry_days == ()


def test_the_first_course_that_fits_holds_and_what_it_leaves_out_is_as_in_the_last():
    found = policy(
        "{name: vip, when: {customer: [ann, bob]}, after_refusal: []}",
        "{name: euro, when: {book: eur, plan: pro, cause: [soft, debit]}, after_refusal: [{day: 2, do: retry}]}",
        "{name: rest, after_refusal: [{day: 4, do: retry}], after_due_date: [{day: 5, do: past_due}]}",
    )
    other = replace(SOFT, customer="eve")
    euro = replace(other, book="eur", plan="pro")
    assert [found.course_of(each).name for each in (SOFT, other, euro, replace(euro, plan=None))] == [
        "vip", "rest", "euro", "rest",
    ]  # fmt: skip
    assert found.course_of(replace(euro, cause=Cause.HARD)).name == "rest"
    assert {course.steps("after_due_date") for course in found.courses} == {(Step(5, "past_due"),)}
    assert [course.retry_days for course in found.courses] == [(), (2,), (4,)]


def test_retries_may_be_ever_further_apart():
    found = policy(f"{{name: a, after_refusal: [{{day: 1, do: retry, times: 4, factor: 2}}, {OVERDUE % 3}]}}")
    assert found.courses[0].retry_days == (1, 2, 4, 8)
    assert [step.day for step in found.courses[0].tracks["after_refusal"]] == [1, 2, 3, 4, 8]


def test_a_refusal_of_another_kind_changes_the_course_and_what_was_done_counts():
    """The card is lost on day 5: the reminder is not repeated, and the rest comes by the distances of the new course."""
    _, case = take(CASE, day(3))
    hard = replace(case, refusal=HARD)
    assert run(hard, range(5, 90)) == {9: ["grace", "final_notice"], 16: ["suspend"], 62: ["propose_write_off"]}
    back = take(hard, day(9))[1]
    assert run(replace(back, refusal=SOFT), range(10, 90)) == {21: ["suspend"], 60: ["propose_write_off"]}


def test_what_the_new_course_has_earlier_is_made_up_for_before_the_next_step():
    wide = f"{{name: soft, when: {{cause: soft}}, after_refusal: [{OVERDUE % 2}, {{day: 2, do: grace}}]}}"
    warns = (
        f"{{name: rest, after_refusal: [{{day: 1, do: past_due}}, {OVERDUE % 1}, {FINAL % 3}, {{day: 8, do: grace}},"
        " {day: 12, do: suspend}]}"
    )
    both = policy(wide, warns)
    _, case = take(CASE, day(2), both)
    # past due is no news to who is in grace, and the reminder was sent: the final notice was not
    assert run(replace(case, refusal=HARD), range(4, 40), both) == {4: ["final_notice"], 8: ["suspend"]}


def test_what_is_made_up_for_keeps_its_distance_too():
    """A policy that begins to suspend finds a case that waits to be written off."""
    mild = policy("{name: a, after_refusal: [{day: 5, do: propose_write_off}]}")
    _, case = take(CASE, day(5), mild)
    strict = policy(
        f"{{name: a, after_refusal: [{OVERDUE % 1}, {{day: 3, do: grace}}, {FINAL % 3}, {{day: 8, do: suspend}},"
        " {day: 60, do: propose_write_off}]}"
    )
    assert run(case, range(40, 90), strict) == {40: ["final_notice"], 45: ["suspend"]}


def test_a_second_reminder_is_the_second_on_whatever_course():
    twice = f"{{name: soft, when: {{cause: soft}}, after_refusal: [{OVERDUE % 2}, {OVERDUE % 4}]}}"
    both = policy(twice, f"{{name: rest, after_refusal: [{OVERDUE % 1}, {OVERDUE % 2}, {OVERDUE % 9}]}}")
    _, case = take(CASE, day(2), both)
    assert run(replace(case, refusal=HARD), range(2, 40), both) == {3: ["payment_overdue"], 10: ["payment_overdue"]}


STEPS = {
    ("past_due", ""): 1, ("mail", "payment_overdue"): 2, ("grace", ""): 1, ("mail", "final_notice"): 1, ("suspend", ""): 1,
    ("hold_drafts", ""): 1, ("propose_write_off", ""): 1,
}  # fmt: skip
"""Steps, and how often a course has them at most."""


@st.composite
def courses(draw: st.DrawFn, name: str, when: dict[str, frozenset[str]]) -> Course:
    """A course as the file lets it be: who is suspended was mailed on an earlier day."""
    days = st.integers(1, 25)
    steps = {
        Step(draw(days), action, kind)
        for (action, kind), most in STEPS.items()
        for _ in range(draw(st.integers(0, most)))
    }
    mailed = [step.day for step in steps if step.action == "mail"]
    kept = sorted(step for step in steps if step.action != "suspend" or any(day < step.day for day in mailed))
    return Course(name, when, {"after_refusal": tuple(kept), "after_due_date": ()})


@given(
    courses("soft", {"cause": frozenset({"soft"})}), courses("rest", {}), st.lists(st.integers(0, 40), max_size=4),
    st.lists(st.integers(1, 9), min_size=30, max_size=30),
)  # fmt: skip
def test_whatever_the_courses_and_their_changes_nobody_is_suspended_unwarned_or_told_twice(soft, rest, changes, gaps):
    policy = Policy("any", (soft, rest))
    case, number = CASE, 0
    warned_on: int | None = None
    taken: Counter[str] = Counter()
    for gap in gaps:
        number += gap
        cause = (Cause.SOFT, Cause.HARD)[sum(change <= number for change in changes) % 2]
        steps, case = take(replace(case, refusal=replace(SOFT, cause=cause)), day(number), policy)
        if "suspend" in steps:
            assert warned_on is not None
            assert warned_on < number
        if {"payment_overdue", "final_notice"} & set(steps):
            warned_on = number
        taken.update(steps)
    for action, kind in STEPS:
        most = max(
            sum((step.action, step.kind) == (action, kind) for step in course.tracks["after_refusal"])
            for course in policy.courses
        )
        assert taken[kind or action] <= most


def test_nobody_is_suspended_before_the_day_that_a_mail_named():
    _, case = take(take(CASE, day(3))[1], day(10))
    told = replace(case, refusal=HARD, suspends_on=day(21).date())
    assert run(replace(told, suspends_on=None), range(10, 40)) == {17: ["suspend"]}
    assert run(told, range(10, 40)) == {21: ["suspend"]}


@pytest.mark.parametrize(
    ("courses", "named"),
    [
        ("3", "courses: expected a list of courses"),
        ("[]", "courses: expected a list of courses"),
        ("[3]", r"courses\[0\]: expected name, when"),
        ("[{name: 3}]", r"courses\[0\].name: expected a text"),
        ("[{name: a, steps: []}]", r"courses\[0\]: expected name, when"),
        ("[{name: a, when: {colour: red}}, {name: b}]", "when: expected some of customer, plan, book, cause"),
        ("[{name: a, when: {plan: []}}, {name: b}]", "when.plan: expected a text or a list"),
        ("[{name: a, when: {cause: bad}}, {name: b}]", r"courses\[0\].when.cause: 'bad': expected one of soft, debit"),
        ("[{name: a, when: {book: Euro}}, {name: b}]", "when.book: 'Euro': expected the currency"),
        ("[{name: a}, {name: b}]", r"courses\[1\]: it never holds, since 'a'"),
        ("[{name: a, when: {plan: x}}, {name: c, when: {plan: x, book: eur}}, {name: b}]", r"courses\[1\]: it never"),
        ("[{name: a, when: {plan: x}}, {name: a}]", r"courses\[1\].name: 'a' is there twice"),
        ("[{name: a, when: {plan: x}}]", r"courses\[0\].when: expected none"),
        (
            "[{name: a, when: {cause: hard}, after_refusal: [{day: 1, do: retry}]}, {name: b}]",
            "hard is not tried again",
        ),
    ],
)
def test_courses_that_cannot_be_followed_are_refused_by_their_place(courses, named):
    with pytest.raises(PolicyWrong, match=named):
        read_policy(f"name: x\ncourses: {courses}", "p.yaml")


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ("after_refusal: 3", "expected a list of steps"),
        ("after_refusal: [{day: 3}]", "step 1: expected day and do"),
        ("after_refusal: [{day: x, do: retry}]", "expected a whole number"),
        ("after_refusal: [{day: 3, do: shout}]", "expected one of retry"),
        ("after_refusal: [{day: 3, do: mail}]", "a mail has one of"),
        ("after_refusal: [{day: 3, do: grace, kind: final_notice}]", "other steps none"),
        ("after_refusal: [{day: 3, do: grace}, {day: 2, do: retry}]", "day 2 comes after day 3"),
        ("after_refusal: [{day: 3, do: grace}, {day: 3, do: grace}]", "twice"),
        ("after_refusal: [{day: 3, do: retry, times: 4}]", "expected times from 2 to 10 and factor from 2 to 10"),
        ("after_refusal: [{day: 3, do: retry, times: 1, factor: 2}]", "expected times from 2"),
        ("after_refusal: [{day: 3, do: retry, times: 9, factor: 9}]", "the last retry is on day 129,140,163"),
        ("after_refusal: [{day: 3, do: grace, times: 2, factor: 2}]", "of a retry alone"),
        ("after_refusal: [{day: 1, do: retry, times: 2, factor: 2}, {day: 2, do: retry}]", "twice"),
        ("after_refusal: [{day: 3, do: suspend}]", "needs a payment_overdue or final_notice mail before it"),
        ("after_refusal: [{day: 0, do: past_due}]", "expected 1 or later"),
        ("after_refusal: [{day: -3, do: mail, kind: payment_due_soon}]", "needs a due date"),
        ("after_due_date: [{day: 3, do: retry}]", "retry belongs to after_refusal"),
    ],
)
def test_steps_that_cannot_be_taken_are_refused_by_their_place(steps, named):
    with pytest.raises(PolicyWrong, match=named):
        read_policy(f"name: x\ncourses: [{{name: a, {steps}}}]", "p.yaml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[", "p.yaml: while parsing"),
        ("name: x\nother: 1", "expected name"),
        ("name: x\nafter_refusal: [{day: 3, do: retry}]", "expected name and courses"),
    ],
)
def test_a_policy_that_is_none_is_refused(text, named):
    with pytest.raises(PolicyWrong, match=named):
        read_policy(text, "p.yaml")
    assert PACKAGED.is_file()
