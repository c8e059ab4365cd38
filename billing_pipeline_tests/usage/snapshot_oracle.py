"""Usage -> quantity in plain Python, one series and period at a time: what sql/usage/usage_snapshots.sql must say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from billing_pipeline_tests.month_rows import Event


@dataclass(frozen=True)
class Measured:
    """A snapshot's quantity, the events of the period behind it, and its basis."""

    quantity: Decimal
    event_count: int
    basis: str


def counting(events: Sequence[Event], as_of: datetime) -> list[Event]:
    """Events received until the cut-off that no event received until then corrects or removes, in order of effect."""
    received = [event for event in events if _received(event) <= as_of]
    corrected = {event.corrects for event in received}
    left = [event for event in received if event.event_id not in corrected and not event.removes]
    by_id = {event.event_id: event for event in events}

    def place(event: Event) -> tuple[datetime, datetime, str, datetime, str]:
        """A correction stands where the first event of its chain stands."""
        first = event
        while first.corrects is not None:
            first = by_id[first.corrects]
        return event.occurred_at, _received(first), first.event_id, _received(event), event.event_id

    return sorted(left, key=place)


def measure(events: Sequence[Event], aggregation: str, start: datetime, end: datetime) -> Measured | None:
    """The snapshot of one series whose `counting` events are given; None if there is no row."""
    if aggregation == "unique":  # what does not have the property is set aside
        events = [event for event in events if "user" in (event.properties or {})]
    own = [event for event in events if start <= event.occurred_at < end]
    basis = "corrected" if any(event.corrects or event.adds for event in own) else "measured"
    quantity = _quantity(events, own, aggregation, start, end)
    if quantity is None or (quantity == 0 and not own):
        return None
    return Measured(quantity, len(own), basis)


def _quantity(
    events: Sequence[Event], own: Sequence[Event], aggregation: str, start: datetime, end: datetime
) -> Decimal | None:
    if aggregation == "sum":
        return _decimal(sum((Fraction(Decimal(e.quantity)) for e in own), Fraction(0))) if own else None
    if aggregation == "count":
        return Decimal(len(own)) if own else None
    if aggregation == "unique":
        return Decimal(len({(event.properties or {})["user"] for event in own})) if own else None
    if aggregation.endswith(" of deltas"):
        return _of_deltas(events, own, aggregation, start, end)
    if aggregation == "last":
        until_end = [event for event in events if event.occurred_at < end]
        return Decimal(until_end[-1].quantity) if until_end else None
    before = [event for event in events if event.occurred_at < start]
    changes = [(start, before[-1].quantity)] if before else []
    changes += [(event.occurred_at, event.quantity) for event in own]
    if not changes:
        return None
    untils = [since for since, _ in changes[1:]] + [end]
    held = [
        (until - since, Decimal(level)) for (since, level), until in zip(changes, untils, strict=True) if until > since
    ]
    if aggregation == "max":
        return max(level for _, level in held)
    integral = sum((Fraction(length // _TICK) * Fraction(level) for length, level in held), Fraction(0))
    return _decimal(_half_away(integral / ((end - start) // _TICK)))


def _of_deltas(
    events: Sequence[Event], own: Sequence[Event], aggregation: str, start: datetime, end: datetime
) -> Decimal:
    """A level that is 0 before the first event; at each instant the sum of all changes until then."""
    instants = sorted({start, *(event.occurred_at for event in own)})
    levels = [
        sum((Fraction(Decimal(e.quantity)) for e in events if e.occurred_at <= instant), Fraction(0))
        for instant in instants
    ]
    if aggregation.startswith("last"):
        return _decimal(levels[-1])
    if aggregation.startswith("max"):
        return _decimal(max(levels))
    lengths = [until - since for since, until in zip(instants, [*instants[1:], end], strict=True)]
    integral = sum(
        (Fraction(length // _TICK) * level for length, level in zip(lengths, levels, strict=True)), Fraction(0)
    )
    return _decimal(_half_away(integral / ((end - start) // _TICK)))


_TICK = timedelta(microseconds=1)
_PLACE = Fraction(1, 10**12)


def _half_away(value: Fraction) -> Fraction:
    steps, rest = divmod(abs(value), _PLACE)
    rounded = (steps + (2 * rest >= _PLACE)) * _PLACE
    return rounded if value >= 0 else -rounded


def _decimal(value: Fraction) -> Decimal:
    scaled = value / _PLACE
    assert scaled.denominator == 1
    sign, digits, _ = Decimal(scaled.numerator).as_tuple()
    return Decimal((sign, digits, -12))


def _received(event: Event) -> datetime:
    return event.received_at or event.occurred_at
