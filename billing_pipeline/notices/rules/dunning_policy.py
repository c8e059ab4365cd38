"""What a dunning policy is: courses of steps by day, and which of them an unpaid invoice takes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from billing_pipeline.charging.rules.refusals import Refusal

LEVELS = {"past_due": "past_due", "grace": "in_grace", "suspend": "suspended"}
"""Steps that change where the customer stands, and to what: the worst last."""
MAILS = ("payment_due_soon", "payment_overdue", "final_notice")
"""Kinds of mails: the most urgent last."""
ACTIONS = ("retry", "mail", *LEVELS, "hold_drafts", "propose_write_off")
TRACKS = ("after_refusal", "after_due_date")
FACTS = ("customer", "plan", "book", "cause")
"""What a course may ask of a refusal: the fields of Refusal."""


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """What is done on a day. `kind`: of a mail; blank for the others."""

    day: int
    action: str
    kind: str = ""

    def overtakes(self, other: "Step") -> bool:
        """Whether the other one says nothing more after this: a mail that is as urgent, a standing that is as bad."""
        if self.action == "mail" and other.action == "mail":
            return MAILS.index(self.kind) >= MAILS.index(other.kind)
        ranks = list(LEVELS)
        return {self.action, other.action} <= LEVELS.keys() and ranks.index(self.action) >= ranks.index(other.action)


@dataclass(frozen=True, slots=True)
class Course:
    """Steps by track, for the refusals whose facts are all among those of `when`."""

    name: str
    when: Mapping[str, frozenset[str]]
    tracks: Mapping[str, tuple[Step, ...]]

    def fits(self, refusal: Refusal) -> bool:
        """Whether it holds for this refusal."""
        return all(getattr(refusal, fact) in values for fact, values in self.when.items())

    def steps(self, track: str) -> tuple[Step, ...]:
        """What dunning does; retries are charging's."""
        return tuple(step for step in self.tracks[track] if step.action != "retry")

    @property
    def retry_days(self) -> tuple[int, ...]:
        """Days after the first refusal on which the payment is tried again."""
        return tuple(step.day for step in self.tracks["after_refusal"] if step.action == "retry")


@dataclass(frozen=True, slots=True)
class Policy:
    """Courses in their order; the last one fits every refusal."""

    name: str
    courses: tuple[Course, ...]

    def course_of(self, refusal: Refusal) -> Course:
        """The first course that fits."""
        return next(course for course in self.courses if course.fits(refusal))
