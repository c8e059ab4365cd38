"""When a charge without a definite answer is asked about again, and when a person has to. Pure; times are given."""

from dataclasses import dataclass
from datetime import datetime, timedelta

ASK_AFTER = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6))
"""Waits before the first questions; then it is a day."""
DAY = timedelta(days=1)
DAILY_ASKS_MAX = 7
ASKS_MAX = len(ASK_AFTER) + DAILY_ASKS_MAX


@dataclass(frozen=True, slots=True)
class Question:
    """When it is asked about next; `due_at` None: never again, it is parked."""

    due_at: datetime | None
    cause: str


def next_question(asked_at: datetime, asks_made: int, *, unknown: bool) -> Question:
    """What follows from an answer that settled nothing, or from a charge that was left lying.

    Args:
        asked_at: when it was left or asked about last.
        asks_made: how often it has been asked about.
        unknown: whether the outcome of a call is unknown. Otherwise it only waits (a payment under way, a run that
            ended early), and is asked about for as long as it does.
    """
    what = "unknown outcome" if unknown else "no answer yet"
    if unknown and asks_made >= ASKS_MAX:
        return Question(None, f"{what} after {asks_made} questions")
    wait = ASK_AFTER[asks_made] if asks_made < len(ASK_AFTER) else DAY
    return Question(asked_at + wait, f"{what}: question {asks_made + 1}")
