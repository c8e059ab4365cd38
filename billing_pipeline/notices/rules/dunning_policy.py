"""A dunning policy: steps by day, read from YAML. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.plain_yaml import YamlWrong, read_yaml

LEVELS = {"past_due": "past_due", "grace": "in_grace", "suspend": "suspended"}
"""Steps that change where the customer stands, and to what."""
MAILS = ("payment_due_soon", "payment_overdue", "final_notice")
ACTIONS = ("retry", "mail", *LEVELS, "propose_write_off")
TRACKS = ("after_refusal", "after_due_date")
DAY_MIN, DAY_MAX = -60, 730


class PolicyWrong(UserError):  # noqa: N818 - reads as what happened
    """A policy that cannot be followed; the text names the place and what was expected."""


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """What is done on a day. `kind`: of a mail; blank for the others."""

    day: int
    action: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """Steps by track, in their order."""

    name: str
    tracks: Mapping[str, tuple[Step, ...]]

    def steps(self, track: str) -> tuple[Step, ...]:
        """What dunning does; retries are charging's."""
        return tuple(step for step in self.tracks[track] if step.action != "retry")

    @property
    def retry_days(self) -> tuple[int, ...]:
        """Days after the first refusal on which the payment is tried again."""
        return tuple(step.day for step in self.tracks["after_refusal"] if step.action == "retry")


def read_policy(text: str, file: str) -> Policy:
    """The policy of a YAML text.

    Raises:
        PolicyWrong: it cannot be followed.
    """
    try:
        read = read_yaml(text, file)
    except YamlWrong as error:
        raise PolicyWrong(str(error)) from None
    if not isinstance(read, dict) or set(read) - {"name", *TRACKS} or not isinstance(read.get("name"), str):
        raise PolicyWrong(f"{file}: expected name, {' and '.join(TRACKS)}")
    return Policy(read["name"], {track: _track(read.get(track) or [], f"{file}, {track}", track) for track in TRACKS})


def _track(entries: Any, place: str, track: str) -> tuple[Step, ...]:
    if not isinstance(entries, list):
        raise PolicyWrong(f"{place}: expected a list of steps such as {{day: 3, do: past_due}}")
    steps = [_step(entry, f"{place}, step {number}", track) for number, entry in enumerate(entries, start=1)]
    for number, (before, after) in enumerate(pairwise(steps), start=2):
        if after.day < before.day:
            raise PolicyWrong(f"{place}, step {number}: day {after.day} comes after day {before.day}")
    if len(set(steps)) < len(steps):
        raise PolicyWrong(f"{place}: a step is there twice")
    retries = [step.day for step in steps if step.action == "retry"]
    if track != "after_refusal" and retries:
        raise PolicyWrong(f"{place}: retry belongs to after_refusal")
    _require_warning(steps, place)
    return tuple(steps)


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
