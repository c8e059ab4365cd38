"""What a price book changes against another one: new, changed and ended, in words; and what it would take away.

Here: two books compared. Not here: which one is loaded (`pricing/loading`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from billing_pipeline.pricing.rules.price_book import PriceRow, price_rows
from billing_pipeline.pricing.rules.price_book_model import Meter, PriceBook, Version

_KEY = ("currency", "version_id", "customer_id", "plan", "meter", "dimensions", "tier_no")
_DERIVED = ("price_id", "book", "effective_from", "position")
_SHOWN_BY_ROWS = ("prices", "plans", "customers", "id")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` is empty for what is new, `after` for what has ended."""

    what: Literal["new", "changed", "ended"]
    currency: str
    version: str
    subject: str
    before: str
    after: str


def difference(old: Sequence[PriceBook], new: Sequence[PriceBook]) -> list[Change]:
    """What `new` changes against `old`; nothing exactly where both charge the same and call it the same."""
    before = {book.currency: book for book in old}
    after = {book.currency: book for book in new}
    return [
        change
        for currency in dict.fromkeys([*before, *after])
        if before.get(currency) != after.get(currency)
        for change in _of_currency(before.get(currency), after.get(currency))
    ]


def losses(old: Sequence[PriceBook], new: Sequence[PriceBook]) -> list[str]:
    """What `new` would take away and nobody takes away by accident: a currency, another book, customers' own prices."""
    found = []
    after = {book.currency: book for book in new}
    for book in old:
        other = after.get(book.currency)
        if other is None:
            found.append(f"it has no book in {book.currency}, which {book.name} has now")
            continue
        if other.name != book.name:
            found.append(f"its book in {book.currency} is {other.name}, the one that is loaded is {book.name}")
        own, kept = (_latest(one) for one in (book, other))
        for lost, what in (
            ([customer for customer in own.customers if customer not in kept.customers], "prices of their own for"),
            ([plan for plan in own.plans if plan not in kept.plans], "plan"),
        ):
            if lost:
                named = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
                found.append(f"its last version in {book.currency} has no {what} {named}")
    return found


def _latest(book: PriceBook) -> Version:
    return max(book.versions, key=lambda version: version.effective_from)


def _of_currency(old: PriceBook | None, new: PriceBook | None) -> Iterator[Change]:
    currency = new.currency if new else old.currency if old else ""
    yield from _compared(currency, "", _facts(old), _facts(new))
    versions = [{version.id: version for version in book.versions} if book else {} for book in (old, new)]
    for version_id in dict.fromkeys([*versions[0], *versions[1]]):
        before, after = (of.get(version_id) for of in versions)
        yield from _compared(currency, version_id, _version_facts(before), _version_facts(after))
        rows = [_rows(book, version_id) for book in (old, new)]
        yield from _compared_rows(currency, version_id, rows[0], rows[1])


def _facts(book: PriceBook | None) -> dict[str, str]:
    """The book's own facts, a word for each: also those that this module does not know by name."""
    if book is None:
        return {}
    other = {field.name: getattr(book, field.name) for field in fields(book)}
    meters: Mapping[str, Meter] = other.pop("meters")
    del other["currency"], other["versions"]
    return {
        **{name: _word(value) for name, value in other.items() if value},
        **{f"meter {name}": _meter_words(meter) for name, meter in meters.items()},
    }


def _version_facts(version: Version | None) -> dict[str, str]:
    if version is None:
        return {}
    own = {field.name: getattr(version, field.name) for field in fields(version) if field.name not in _SHOWN_BY_ROWS}
    trials = own.pop("trials")
    return {
        **{name: _word(value) for name, value in own.items() if value},
        **{f"trial of plan {plan}": f"{days} days" for plan, days in trials.items()},
    }


def _meter_words(meter: Meter) -> str:
    values = {field.name: getattr(meter, field.name) for field in fields(meter) if field.name != "name"}
    return ", ".join(f"{name} {_word(value)}" for name, value in values.items() if value)


def _rows(book: PriceBook | None, version_id: str) -> dict[str, PriceRow]:
    rows = price_rows(book) if book else []
    return {_subject(row): row for row in rows if row.version_id == version_id}


def _subject(row: PriceRow) -> str:
    values = f" ({', '.join(row.dimensions.values())})" if row.dimensions else ""
    tier = f", above {row.tier_from.normalize():f}" if row.tier_no else ""
    owner = f", customer {row.customer_id}" if row.customer_id else f", plan {row.plan}" if row.plan else ""
    return f"price of {row.meter}{values}{tier}{owner}"


def _compared(currency: str, version: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for subject in dict.fromkeys([*before, *after]):
        old, new = before.get(subject, ""), after.get(subject, "")
        if old != new:
            yield Change("changed" if old and new else "new" if new else "ended", currency, version, subject, old, new)


def _compared_rows(
    currency: str, version: str, before: Mapping[str, PriceRow], after: Mapping[str, PriceRow]
) -> Iterator[Change]:
    for subject in dict.fromkeys([*before, *after]):
        old, new = (_terms(of.get(subject)) for of in (before, after))
        if not old or not new:
            yield Change("ended" if old else "new", currency, version, subject, _words(old), _words(new))
            continue
        names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
        if names:
            texts = [_words({name: of[name] for name in names if name in of}) or "none" for of in (old, new)]
            yield Change("changed", currency, version, subject, texts[0], texts[1])
    shared = [subject for subject in before if subject in after]
    if sorted(shared, key=lambda s: before[s].position) != sorted(shared, key=lambda s: after[s].position):
        yield Change("changed", currency, version, "order of the lines", "as it was", "another")


def _terms(row: PriceRow | None) -> dict[str, str]:
    """What a row charges, a text each, without what it is found by."""
    if row is None:
        return {}
    values: dict[str, Any] = {name: getattr(row, name) for name in row.__slots__}
    return {
        name: _word(value)
        for name, value in values.items()
        if name not in (*_KEY, *_DERIVED) and (value or name == "unit_amount")
    }


def _words(terms: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in terms.items())


def _word(value: Any) -> str:
    if hasattr(value, "normalize"):
        return f"{value.normalize():f}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
