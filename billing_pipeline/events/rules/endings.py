"""How an attempt at an event ends: the verdict or the error says it, with how long the event has been tried. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing_pipeline.events.rules.stripe_events import Applied, Awaited, Busy, Ignored, Verdict

BUSY_S = 3.0
AWAIT_MAX_S = 300.0


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event and the attempt that holds it; `replays`: how often a person has put it back."""

    event_id: str
    type: str
    object_id: str | None
    created: datetime | None
    attempt: int
    failures: int
    pending_since: datetime
    replays: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: the event's state from now, and until when it rests if that is no last one."""

    event: ClaimedEvent
    state: str
    error: str | None = None
    failures: int = 0
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an event is tried. Delays in seconds double from `first_s` to `longest_s`.

    A definite error, which would be the same tomorrow, ends the event after `failures_max`; an outage and a row that
    is not there yet after `give_up_s`.
    """

    first_s: float = 10.0
    longest_s: float = 3_600.0
    failures_max: int = 6
    give_up_s: float = 86_400.0

    def delay_s(self, times: int) -> float:
        """Pause after the n-th time, from 1."""
        return float(min(self.first_s * 2 ** min(times - 1, 30), self.longest_s))


def is_over(patience: Patience, *, failures: int, definite: bool, pending_s: float) -> bool:
    """Whether an event that failed again is to be given up."""
    return failures >= patience.failures_max if definite else pending_s >= patience.give_up_s


def ending(event: ClaimedEvent, verdict: Verdict, patience: Patience, now: datetime) -> Ending:
    """What the verdict on its object means for one event."""
    match verdict:
        case Applied():
            return Ending(event, "applied", failures=event.failures)
        case Ignored(reason):
            return Ending(event, "ignored", reason, event.failures)
        case Busy():
            return Ending(event, "pending", None, event.failures, now + timedelta(seconds=BUSY_S))
        case Awaited(reason, dispensable):
            if _pending_s(event, now) >= patience.give_up_s:
                return Ending(event, "ignored" if dispensable else "dead", reason, event.failures)
            pause_s = min(patience.delay_s(event.attempt), AWAIT_MAX_S)
            return Ending(event, "waiting", reason, event.failures, now + timedelta(seconds=pause_s))


def failed(event: ClaimedEvent, error: str, patience: Patience, now: datetime, *, definite: bool) -> Ending:
    """What an error means for one event; `definite`: it would be the same tomorrow."""
    failures = event.failures + 1
    if is_over(patience, failures=failures, definite=definite, pending_s=_pending_s(event, now)):
        return Ending(event, "dead", error, failures)
    return Ending(event, "pending", error, failures, now + timedelta(seconds=patience.delay_s(failures)))


def outcome_name(verdict: Verdict) -> str:
    """The word of a report for it."""
    match verdict:
        case Applied():
            return "applied"
        case Ignored():
            return "ignored"
        case Awaited():
            return "waiting"
        case Busy():
            return "put off"


def _pending_s(event: ClaimedEvent, now: datetime) -> float:
    return (now - event.pending_since).total_seconds()
