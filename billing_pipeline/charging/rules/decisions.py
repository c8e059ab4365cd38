"""What is decided about anything that is made at Stripe once: an invoice's charge, a credit note.

Here: the decisions that they have in common. Which one follows from what: next_step.py for a charge, and
corrections/rules/crediting.py for a credit note.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """List what is at Stripe and match its metadata."""


@dataclass(frozen=True, slots=True)
class RaiseAttempt:
    """The key is used up without effect: count on, so that the next call has a new one."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Record a refusal: nothing was made, no money moved."""

    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Park:
    """Leave it to a person."""

    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing is to be done."""
