"""When the next step of dunning is due. Pure; times are given.

A step is counted from the step before it, so that steps that come late keep their distance: nobody gets three mails
and a suspension on the day on which a machine comes back. Promises, holds and disputes stop the clock.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing_pipeline.notices.rules.dunning_policy import Policy, Step
from billing_pipeline.notices.rules.sending import working_hours


@dataclass(frozen=True, slots=True)
class Pause:
    """The clock stands from then until then; `until` None: nobody knows yet."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Case:
    """An unpaid invoice: since when it is counted, what was done last, and what stopped the clock.

    `done`: all steps that were taken; `last_done_at`: when the newest of them was.
    """

    invoice_id: str
    customer_id: str
    timezone: str
    track: str
    begins_at: datetime
    done: frozenset[Step] = frozenset()
    last_done_at: datetime | None = None
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
    last_day = max((step.day for step in case.done), default=None)
    since, counted_day = (case.begins_at, 0) if last_day is None else (case.last_done_at or case.begins_at, last_day)
    for step in policy.steps(case.track):
        if step in case.done or (last_day is not None and step.day < last_day):
            continue
        due = due_at(since, step.day - counted_day, case.pauses)
        if due is None or _stands(now, case.pauses):
            return
        if step.action == "suspend":
            due = working_hours(max(due, now), case.timezone)
        yield DueStep(step, due)
        since, counted_day = max(due, now), step.day


def steps_due(policy: Policy, case: Case, now: datetime) -> list[Step]:
    """What is to be done now: the steps of one day at most."""
    found = [due.step for due in planned_steps(policy, case, now) if due.due_at <= now]
    return [step for step in found if step.day == found[0].day]


def _stands(now: datetime, pauses: Sequence[Pause]) -> bool:
    return any(pause.since <= now and (pause.until is None or now < pause.until) for pause in pauses)
