"""When the next step of dunning is due. Pure; times are given.

A step is counted from the step before it, so that steps that come late keep their distance: nobody gets three mails
and a suspension on the day on which a machine comes back. Promises, holds and disputes stop the clock.

A refusal of another kind, or another policy, puts a case on another course in the middle. What was done counts there:
as many steps of a kind as were taken are its first ones of that kind.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from billing_pipeline.charging.rules.refusals import Refusal
from billing_pipeline.core.timezones import start_of_day
from billing_pipeline.notices.rules.dunning_policy import Policy, Step
from billing_pipeline.notices.rules.sending import working_hours


@dataclass(frozen=True, slots=True)
class Pause:
    """The clock stands from then until then; `until` None: nobody knows yet."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Case:
    """An unpaid invoice: why, since when it is counted, what was done last, and what stopped the clock.

    `done`: all steps that were taken, in their order; `last_done_at`: when the newest of them was; `suspends_on`: the
    day that a mail named for the suspension.
    """

    invoice_id: str
    refusal: Refusal
    timezone: str
    track: str
    begins_at: datetime
    done: tuple[Step, ...] = ()
    last_done_at: datetime | None = None
    suspends_on: date | None = None
    pauses: tuple[Pause, ...] = ()


@dataclass(frozen=True, slots=True)
class DueStep:
    """A step and from when on it may be taken."""

    step: Step
    due_at: datetime


def due_at(since: datetime, days: int, pauses: Sequence[Pause]) -> datetime | None:
    """So many days after an instant, the pauses not counted; None: the clock stands, and nobody knows until when."""
    due = since + timedelta(days=days)
    if days <= 0:
        return due
    counted = since
    for pause in sorted(pauses, key=lambda one: one.since):
        if pause.until is not None and pause.until <= counted:
            continue
        if pause.since >= due:
            break
        if pause.until is None:
            return None
        due += pause.until - max(pause.since, counted)
        counted = pause.until
    return due


def planned_steps(policy: Policy, case: Case, now: datetime) -> Iterator[DueStep]:
    """What is still to come, each with its earliest time, if nothing changes: the next first."""
    if _stands(now, case.pauses):
        return
    days, left = _progress(policy.course_of(case.refusal).steps(case.track), case.done)
    since, before_any = (case.last_done_at or case.begins_at, None) if days else (case.begins_at, 0)
    for step in left:
        # what is made up for without a step before it on its course is due at once
        counted_day = max((day for day in days if day <= step.day), default=before_any)
        due = due_at(since, step.day - (step.day if counted_day is None else counted_day), case.pauses)
        if due is None:
            return
        if step.action == "suspend":
            named = start_of_day(case.suspends_on, case.timezone) if case.suspends_on else now
            due = working_hours(max(due, now, named), case.timezone)
        yield DueStep(step, due)
        since = max(due, now)
        days.append(step.day)


def _progress(steps: Sequence[Step], done: Sequence[Step]) -> tuple[list[int], list[Step]]:
    """The days of the course whose steps count as taken, and the steps that are left.

    Of those before the last day that was taken only another course, or an older policy, left some out: they are made
    up for, unless something that overtakes them was done or is made up for too. So nobody is suspended without the
    course's last mail, and nobody gets a mild one after it.
    """
    taken = Counter((step.action, step.kind) for step in done)
    days: list[int] = []
    left: list[Step] = []
    for step in steps:
        if taken[step.action, step.kind] > 0:
            taken[step.action, step.kind] -= 1
            days.append(step.day)
        else:
            left.append(step)
    missed = [step for step in left if days and step.day < max(days)]
    overtaken = [
        step
        for number, step in enumerate(missed)
        if any(other.overtakes(step) for other in (*done, *missed[number + 1 :]))
    ]
    return days, [step for step in left if step not in overtaken]


def steps_due(policy: Policy, case: Case, now: datetime) -> list[Step]:
    """What is to be done now: the steps of one day at most."""
    found = [due.step for due in planned_steps(policy, case, now) if due.due_at <= now]
    return [step for step in found if step.day == found[0].day]


def _stands(now: datetime, pauses: Sequence[Pause]) -> bool:
    return any(pause.since <= now and (pause.until is None or now < pause.until) for pause in pauses)
