"""Two months, or one month twice, line by line: what differs, and how much of it is price, volume, new or lost.

Here: the arithmetic. Not here: where the lines come from, how a difference is shown.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

RATED = ("usage", "fee", "minimum", "maximum")
"""Kinds of lines that rating makes; others have no snapshot and no price to be computed from."""
COMPUTED = (*RATED, "commitment", "discount")
"""Kinds of lines that a month built anew has; others were made by a person."""
CAUSES = ("price", "volume", "new", "lost", "other")
"""price: the same usage costs something else; volume: other usage; new, lost: a customer who has no line on the other
side; other: lines that no price made: commitments, discounts, adjustments."""

Key = tuple[str, str, str, str, str]

Terms = tuple[int, Hashable]
"""What a price row says: the number of its tier, and whatever the amount depends on."""


@dataclass(frozen=True, slots=True)
class MonthLine:
    """All that a month has for one customer, currency, meter, dimensions and kind.

    `quantity` is the measured usage, `amount_minor` in minor units; `prices` the terms of the price rows behind it.
    """

    customer_id: str
    currency: str
    meter: str
    dimensions: str
    kind: str
    description: str
    quantity: Decimal
    amount_minor: int
    prices: frozenset[Terms]

    @property
    def key(self) -> Key:
        """What it is compared by."""
        return (self.currency, self.customer_id, self.meter, self.dimensions, self.kind)


@dataclass(frozen=True, slots=True)
class Difference:
    """A line whose amount differs. The five causes, in minor units, add up to `difference_minor`."""

    currency: str
    customer_id: str
    meter: str
    dimensions: str
    kind: str
    description: str
    before_quantity: Decimal
    after_quantity: Decimal
    before_minor: int
    after_minor: int
    difference_minor: int
    price_minor: int = 0
    volume_minor: int = 0
    new_minor: int = 0
    lost_minor: int = 0
    other_minor: int = 0

    @property
    def key(self) -> Key:
        """What it is compared by."""
        return (self.currency, self.customer_id, self.meter, self.dimensions, self.kind)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From one month's revenue to another's, in minor units of the currency: before + causes = after."""

    currency: str
    before_minor: int
    causes: Mapping[str, int]
    after_minor: int


def differences(before: Iterable[MonthLine], after: Iterable[MonthLine]) -> list[Difference]:
    """The lines whose amount differs, by currency, the largest customers' changes first, a customer's together."""
    sides = ({line.key: line for line in before}, {line.key: line for line in after})
    customers = [{(line.currency, line.customer_id) for line in side.values()} for side in sides]
    found = []
    for key in sides[0].keys() | sides[1].keys():
        old, new = sides[0].get(key), sides[1].get(key)
        if (old.amount_minor if old else 0) != (new.amount_minor if new else 0):
            in_both = key[:2] in customers[0] and key[:2] in customers[1]
            shown = sides[1].get(key) or sides[0][key]
            found.append(_difference(shown, old, new, in_both=in_both))
    moved: dict[tuple[str, str], int] = defaultdict(int)
    for each in found:
        moved[each.currency, each.customer_id] += abs(each.difference_minor)
    return sorted(
        found,
        key=lambda d: (d.currency, -moved[d.currency, d.customer_id], d.customer_id, -abs(d.difference_minor), d.key),
    )


def waterfalls(before: Sequence[MonthLine], after: Sequence[MonthLine], found: Sequence[Difference]) -> list[Waterfall]:
    """One a currency, in alphabetical order; `found` are the differences of the same two sides."""
    falls = []
    for currency in sorted({line.currency for line in (*before, *after)}):
        own = [each for each in found if each.currency == currency]
        causes = {cause: sum(getattr(each, f"{cause}_minor") for each in own) for cause in CAUSES}
        totals = [sum(line.amount_minor for line in side if line.currency == currency) for side in (before, after)]
        falls.append(Waterfall(currency, totals[0], causes, totals[1]))
    return falls


def unexplained(found: Iterable[Difference], expected: Mapping[Key, int]) -> list[str]:
    """What differs and is not expected to, or by another amount, and what is expected and does not differ."""
    left = dict(expected)
    problems = []
    for each in found:
        wanted = left.pop(each.key, None)
        if wanted != each.difference_minor:
            told = "is not expected" if wanted is None else f"is expected to be {wanted}"
            problems.append(f"{_named(each.key)}: a difference of {each.difference_minor} {told}")
    return problems + [
        f"{_named(key)}: a difference of {wanted} is expected, there is none" for key, wanted in left.items()
    ]


def _named(key: Key) -> str:
    currency, customer_id, meter, dimensions, kind = key
    return " ".join([customer_id, meter, *([dimensions] if dimensions != "{}" else []), kind, currency])


def _difference(shown: MonthLine, old: MonthLine | None, new: MonthLine | None, *, in_both: bool) -> Difference:
    before, after = (line.amount_minor if line else 0 for line in (old, new))
    change = after - before
    price = volume = new_minor = lost = other = 0
    if shown.kind not in RATED:
        other = change
    elif not in_both:
        new_minor, lost = (change, 0) if old is None else (0, change)
    else:
        price = _price_effect(old, new)
        volume = change - price
    return Difference(
        currency=shown.currency,
        customer_id=shown.customer_id,
        meter=shown.meter,
        dimensions=shown.dimensions,
        kind=shown.kind,
        description=shown.description,
        before_quantity=old.quantity if old else Decimal(0),
        after_quantity=new.quantity if new else Decimal(0),
        before_minor=before,
        after_minor=after,
        difference_minor=change,
        price_minor=price,
        volume_minor=volume,
        new_minor=new_minor,
        lost_minor=lost,
        other_minor=other,
    )


def _price_effect(old: MonthLine | None, new: MonthLine | None) -> int:
    """What the new usage costs more than it would at the old mean rate, if the price or the rules are others."""
    if old is None or new is None:
        return 0
    same_usage = old.kind == "usage" and old.quantity == new.quantity
    if not same_usage and not _repriced(old.prices, new.prices):
        return 0
    if old.quantity == new.quantity or old.quantity == 0:
        return new.amount_minor - old.amount_minor
    at_old_rate = Fraction(old.amount_minor) * Fraction(new.quantity) / Fraction(old.quantity)
    return new.amount_minor - _rounded(at_old_rate)


def _repriced(old: frozenset[Terms], new: frozenset[Terms]) -> bool:
    """Whether a tier that both reached has other terms; a tier that only one of them reached is volume."""
    common = {tier for tier, _ in old} & {tier for tier, _ in new}
    return {terms for terms in old if terms[0] in common} != {terms for terms in new if terms[0] in common}


def _rounded(value: Fraction) -> int:
    """Half away from zero."""
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return whole if value >= 0 else -whole
