"""A dunning policy as people write it, in YAML. Pure."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from billing_pipeline.charging.rules.refusals import RETRIED, Cause
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.plain_yaml import YamlWrong, read_yaml
from billing_pipeline.notices.rules.dunning_policy import ACTIONS, FACTS, MAILS, TRACKS, Course, Policy, Step

DAY_MIN, DAY_MAX = -60, 730
TIMES_MAX, FACTOR_MAX = 10, 10
_BOOK = re.compile(r"[a-z]{3}")


class PolicyWrong(UserError):  # noqa: N818 - reads as what happened
    """A policy that cannot be followed; the text names the place and what was expected."""


def read_policy(text: str, file: str) -> Policy:
    """The policy of a YAML text.

    Raises:
        PolicyWrong: it cannot be followed.
    """
    try:
        read = read_yaml(text, file)
    except YamlWrong as error:
        raise PolicyWrong(str(error)) from None
    if not isinstance(read, dict) or set(read) != {"name", "courses"} or not _is_text(read["name"]):
        raise PolicyWrong(f"{file}: expected name and courses, each course with {' and '.join(TRACKS)}")
    entries = read["courses"]
    if not isinstance(entries, list) or not entries:
        raise PolicyWrong(f"{file}, courses: expected a list of courses")
    last = _course(entries[-1], f"{file}, courses[{len(entries) - 1}]", dict.fromkeys(TRACKS, ()))
    before = [_course(entry, f"{file}, courses[{number}]", last.tracks) for number, entry in enumerate(entries[:-1])]
    courses = (*before, last)
    _require_each_is_reached(courses, file)
    return Policy(read["name"], courses)


def _course(entry: Any, place: str, left_out: Mapping[str, tuple[Step, ...]]) -> Course:
    """`left_out`: the steps of a track that it does not name."""
    if not isinstance(entry, dict) or not {"name"} <= set(entry) <= {"name", "when", *TRACKS}:
        raise PolicyWrong(f"{place}: expected name, when, {' and '.join(TRACKS)}")
    if not _is_text(entry["name"]):
        raise PolicyWrong(f"{place}.name: expected a text")
    when = _when(entry.get("when", {}), f"{place}.when")
    own = {track: _track(entry[track] or [], f"{place}.{track}", track) for track in TRACKS if track in entry}
    causes = when.get("cause", frozenset(Cause))
    if not causes & RETRIED and any(step.action == "retry" for step in own.get("after_refusal", ())):
        raise PolicyWrong(f"{place}.after_refusal: retry: {', '.join(sorted(causes))} is not tried again by itself")
    return Course(entry["name"], when, {**left_out, **own})


def _when(entry: Any, place: str) -> Mapping[str, frozenset[str]]:
    if not isinstance(entry, dict) or not set(entry) <= set(FACTS):
        raise PolicyWrong(f"{place}: expected some of {', '.join(FACTS)}")
    return {fact: _values(fact, given, f"{place}.{fact}") for fact, given in entry.items()}


def _values(fact: str, given: Any, place: str) -> frozenset[str]:
    values = given if isinstance(given, list) else [given]
    if not values or not all(_is_text(value) for value in values):
        raise PolicyWrong(f"{place}: expected a text or a list of texts")
    for value in values:
        if fact == "cause" and value not in frozenset(Cause):
            raise PolicyWrong(f"{place}: {value!r}: expected one of {', '.join(Cause)}")
        if fact == "book" and not _BOOK.fullmatch(value):
            raise PolicyWrong(f"{place}: {value!r}: expected the currency of a price book, such as usd")
    return frozenset(values)


def _require_each_is_reached(courses: Sequence[Course], file: str) -> None:
    """The first that fits holds: one behind a wider one never does, and without a last one for all some had none."""
    names = [course.name for course in courses]
    for number, course in enumerate(courses):
        if course.name in names[:number]:
            raise PolicyWrong(f"{file}, courses[{number}].name: {course.name!r} is there twice")
        for before in courses[:number]:
            if all(fact in course.when and course.when[fact] <= values for fact, values in before.when.items()):
                raise PolicyWrong(
                    f"{file}, courses[{number}]: it never holds, since {before.name!r} before it holds for the same"
                )
    if courses[-1].when:
        place = f"{file}, courses[{len(courses) - 1}].when"
        raise PolicyWrong(f"{place}: expected none: the last course is for all others")


def _track(entries: Any, place: str, track: str) -> tuple[Step, ...]:
    if not isinstance(entries, list):
        raise PolicyWrong(f"{place}: expected a list of steps such as {{day: 3, do: past_due}}")
    groups = [_steps(entry, f"{place}, step {number}", track) for number, entry in enumerate(entries, start=1)]
    for number, ([before, *_], [after, *_]) in enumerate(pairwise(groups), start=2):
        if after.day < before.day:
            raise PolicyWrong(f"{place}, step {number}: day {after.day} comes after day {before.day}")
    steps = sorted((step for group in groups for step in group), key=lambda step: step.day)
    if len(set(steps)) < len(steps):
        raise PolicyWrong(f"{place}: a step is there twice")
    retries = [step.day for step in steps if step.action == "retry"]
    if track != "after_refusal" and retries:
        raise PolicyWrong(f"{place}: retry belongs to after_refusal")
    _require_warning(steps, place)
    return tuple(steps)


def _steps(entry: Any, place: str, track: str) -> list[Step]:
    """The steps of an entry: one, or retries whose days grow by a factor."""
    if not isinstance(entry, dict) or not {"times", "factor"} & set(entry):
        return [_step(entry, place, track)]
    first = _step({name: value for name, value in entry.items() if name not in ("times", "factor")}, place, track)
    if first.action != "retry":
        raise PolicyWrong(f"{place}: times and factor: expected them of a retry alone")
    times, factor = entry.get("times"), entry.get("factor")
    if (
        type(times) is not int
        or not 2 <= times <= TIMES_MAX
        or type(factor) is not int
        or not 2 <= factor <= FACTOR_MAX
    ):
        raise PolicyWrong(
            f"{place}: expected times from 2 to {TIMES_MAX} and factor from 2 to {FACTOR_MAX}, both whole"
        )
    days = [first.day * factor**nth for nth in range(times)]
    if days[-1] > DAY_MAX:
        raise PolicyWrong(f"{place}: the last retry is on day {days[-1]:,}: expected {DAY_MAX} or earlier")
    return [Step(day, "retry") for day in days]


def _step(entry: Any, place: str, track: str) -> Step:
    if not isinstance(entry, dict) or not {"day", "do"} <= set(entry) <= {"day", "do", "kind"}:
        raise PolicyWrong(f"{place}: expected day and do, and kind for a mail")
    day, action, kind = entry["day"], entry["do"], entry.get("kind", "")
    if type(day) is not int or not DAY_MIN <= day <= DAY_MAX:
        raise PolicyWrong(f"{place}: day {day!r}: expected a whole number from {DAY_MIN} to {DAY_MAX}")
    if action not in ACTIONS:
        raise PolicyWrong(f"{place}: do {action!r}: expected one of {', '.join(ACTIONS)}")
    if (action == "mail") != (kind in MAILS) or (action != "mail" and kind):
        raise PolicyWrong(f"{place}: kind {kind!r}: a mail has one of {', '.join(MAILS)}, other steps none")
    if kind == "payment_due_soon" and track == "after_refusal":
        raise PolicyWrong(f"{place}: payment_due_soon needs a due date")
    if day < 1 and kind != "payment_due_soon":
        raise PolicyWrong(f"{place}: day {day}: expected 1 or later")
    return Step(day, action, kind)


def _require_warning(steps: Sequence[Step], place: str) -> None:
    """Nobody is suspended who was not mailed before, on an earlier day."""
    mailed = [step.day for step in steps if step.kind in ("payment_overdue", "final_notice")]
    for step in steps:
        if step.action == "suspend" and not any(day < step.day for day in mailed):
            raise PolicyWrong(
                f"{place}: suspend on day {step.day} needs a payment_overdue or final_notice mail before it"
            )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
