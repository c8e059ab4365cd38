"""What a person should do next about a month, as one sentence. A stage that is not done stops the ones behind it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billing_pipeline.core.texts import counted

Mark = Literal["done", "now", "wrong", "later"]


@dataclass(frozen=True, slots=True)
class MonthCounts:
    """How far a month has come, in counts. `last_period_end`: the latest end of its periods."""

    feed_complete_through: datetime | None
    last_period_end: datetime | None
    customers: int
    events: int
    snapshots: int
    lines: int
    drafts: int
    final: int
    gates: int
    gates_passed: int
    requires_approval: bool
    approvals: int
    charges: int
    paid: int
    refused: int
    parked: int
    on_the_way: int
    events_waiting: int
    events_dead: int
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the month: its name, what it counts, and whether it is done, the one to do now, wrong, or later."""

    name: str
    count: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do, in words, and the action of the console that does it; none where nothing is to be done here."""

    text: str
    action: str | None = None


def next_step(month: MonthCounts, ends_at: datetime, now: datetime) -> NextStep:
    """The first thing that waits."""
    built = month.drafts + month.final
    if now < ends_at and not built:
        return NextStep("Nothing to do: the month has not ended. Its usage is collected.")
    if not _feed_is_complete(month, ends_at):
        return NextStep(
            "Import the rest of the usage, and say that the feed is complete; drafts would miss what comes later."
        )
    if not built:
        return NextStep("Draft the month's invoices.", "draft")
    if month.drafts and month.gates_passed < month.gates:
        return NextStep(
            f"{month.gates - month.gates_passed} of {month.gates} gates have not passed for these rows. Look at the"
            " failing checks, then draft the month again.",
            "draft",
        )
    if month.drafts and month.requires_approval and not month.approvals:
        look = counted(month.drafts, "draft, then approve it", "drafts, then approve them")
        return NextStep(f"Look at {look}.", "approve")
    if month.drafts:
        look = counted(month.drafts, "draft. Charging makes it final", "drafts. Charging makes them final")
        return NextStep(f"Look at {look}.", "charge")
    if month.parked:
        return NextStep(f"{counted(month.parked, 'charge is', 'charges are')} parked: a person has to decide.")
    if month.refused:
        return NextStep(
            f"{counted(month.refused, 'payment is', 'payments are')} refused. What may succeed is tried again by"
            " itself; the others need another card."
        )
    if month.on_the_way:
        return NextStep(
            f"{counted(month.on_the_way, 'charge has', 'charges have')} no answer yet. The next pass asks Stripe."
        )
    if month.events_dead:
        return NextStep(
            f"{month.events_dead:,} of Stripe's events could not be applied. Look at them, then replay them."
        )
    if not month.closed_at:
        return NextStep("Compare the books with Stripe, then close the month.", "close")
    return NextStep("Nothing to do: the month is closed.")


def stages(month: MonthCounts, ends_at: datetime) -> list[Stage]:
    """The month from usage to books. `now` is at the first stage that is not done."""
    built = month.drafts + month.final
    finished = month.charges - month.refused - month.parked - month.on_the_way
    rows: list[tuple[str, str, bool, bool]] = [
        ("usage", f"{month.events:,}", _feed_is_complete(month, ends_at), False),
        ("snapshots", f"{month.snapshots:,}", month.snapshots > 0, False),
        ("lines", f"{month.lines:,}", month.lines > 0, False),
        ("invoices", f"{built:,}", built > 0, False),
        ("gates", f"{month.gates_passed}/{month.gates}", built > 0 and month.gates_passed == month.gates, False),
        (
            "approval",
            f"{month.approvals}" if month.requires_approval else "not asked",
            built > 0 and (bool(month.approvals) or not month.requires_approval or not month.drafts),
            False,
        ),
        (
            "charges",
            f"{finished:,} of {built:,}",
            built > 0 and finished == built,
            month.refused + month.parked > 0,
        ),
        (
            "events",
            f"{month.events_waiting:,} wait",
            month.charges > 0 and not month.events_waiting,
            month.events_dead > 0,
        ),
        ("books", "closed" if month.closed_at else "open", month.closed_at is not None, False),
    ]
    marked: list[Stage] = []
    for name, count, done, wrong in rows:
        earlier = all(stage.mark == "done" for stage in marked)
        mark: Mark = "wrong" if wrong else "done" if done else "now" if earlier else "later"
        marked.append(Stage(name, count, mark))
    return marked


def _feed_is_complete(month: MonthCounts, ends_at: datetime) -> bool:
    needed = month.last_period_end or ends_at
    return month.feed_complete_through is not None and month.feed_complete_through >= needed
