"""A price book in words: what each meter counts and what each price takes, so that a mistake is seen before a bill.

Here: sentences. Not here: the file's checks (`price_book_reader`), amounts of an invoice (`rating`).
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from billing_pipeline.pricing.rules.price_book_model import (
    BookTerm,
    Meter,
    Price,
    PriceBook,
    Rate,
    Tier,
    TierRate,
    Version,
)

COUNTS = {
    "constant": "charged in every period, whatever is used",
    "sum": "the sum of a period's events",
    "count": "how many events a period has",
    "unique": "how many different values of a property a period's events have",
    "last": "the last level of a period",
    "max": "the highest level of a period",
    "time_weighted": "the mean level of a period, weighted by time",
}
"""What an aggregation means."""


def words_of(book: PriceBook) -> Iterator[str]:
    """The book, a line a statement, the lines of a part indented below it."""
    yield f"{book.name}, in {book.currency.upper()}: {len(book.meters)} meter(s), {len(book.versions)} version(s)"
    yield "meters"
    for meter in book.meters.values():
        yield f"  {meter.name}: {_counts(meter)}"
    versions = sorted(book.versions, key=lambda version: version.effective_from)
    for version, following in pairwise([*versions, None]):
        if version is not None:
            yield from _version(version, following, book.currency)


def _counts(meter: Meter) -> str:
    what = COUNTS.get(meter.aggregation, meter.aggregation)
    if meter.property:
        what = f"how many different values of {meter.property} a period's events have"
    if meter.events == "deltas":
        what += ", which an event changes by its quantity"
    by = f", for each {' and '.join(meter.dimensions)}" if meter.dimensions else ""
    return f"{what}{by}" + (f" (unit: {meter.unit})" if meter.unit else "")


def _version(version: Version, following: Version | None, currency: str) -> Iterator[str]:
    until = f" until the day before {following.effective_from}" if following else ""
    yield f"version {version.id}: periods that start from {version.effective_from}{until}"
    for price in version.prices:
        yield f"  {_price(price, currency)}"
    for retired in version.retired:
        values = f" ({', '.join(value for _, value in retired.dimensions)})" if retired.dimensions else ""
        yield f"  {retired.meter}{values}: retired"
    for plan, days in version.trials.items():
        yield f"  plan {plan}: a contract that starts on it begins with {days} days of trial: fees cost nothing"
    if version.notices_off:
        yield f"  no customer is mailed: {', '.join(version.notices_off)}"
    for term in version.terms:
        yield f"  {_term(term, currency)}"
    owned = [(f"plan {plan}", prices) for plan, prices in version.plans.items()]
    owned += [(f"customer {customer_id}", prices) for customer_id, prices in version.customers.items()]
    for owner, prices in owned:
        yield f"  {owner}, instead"
        for price in prices:
            yield f"    {_price(price, currency)}"


def _price(price: Price, currency: str) -> str:
    unit = currency.upper()
    parts = [f"{price.meter}: {_takes(price, unit)}"]
    if price.included:
        pooled = f", together with the other prices of the pool {price.pool}" if price.pool else ""
        parts.append(f"the first {_plain(price.included)} are included{pooled}")
    if price.minimum is not None:
        parts.append(f"at least {_plain(price.minimum)} {unit} once it is used")
    if price.maximum is not None:
        parts.append(f"at most {_plain(price.maximum)} {unit}")
    if price.scope == "meter":
        parts.append("counted across all of the meter")
    if price.scope == "combination":
        parts.append("each combination for itself")
    if price.prorate == "none":
        parts.append("whole in short periods too")
    if price.lines == "merged":
        parts.append("one line for all that costs the same each")
    if price.description:
        parts.append(f'on the invoice "{price.description}"')
    return "; ".join(parts)


def _term(term: BookTerm, currency: str) -> str:
    whose = f"customer {term.customer_id}" if term.customer_id else f"plan {term.plan}" if term.plan else "everybody"
    what = "all of the invoice" if term.meters is None else ", ".join(term.meters)
    rate = f"{_plain(term.percent)} %" if term.percent else f"{_plain(term.amount or Decimal(0))} {currency.upper()}"
    takes = f"at least {rate} for" if term.kind == "commitment" else f"{rate} off"
    parts = [f"{term.kind} {term.name} of {whose}: {takes} {what}"]
    if term.prorate == "none":
        parts.append("whole in short periods too")
    if term.until_on is not None:
        parts.append(f"for periods that start until {term.until_on}")
    return "; ".join(parts)


def _takes(price: Price, unit: str) -> str:
    if price.model == "flat":
        return f"{_plain(price.rates[0].amount)} {unit} a period"
    if price.model == "per_unit":
        return ", ".join(f"{_plain(rate.amount)} {unit} each{_for(rate)}" for rate in price.rates)
    if price.model == "package":
        size = _plain(price.package_size or Decimal(0))
        rates = ", ".join(f"{_plain(rate.amount)} {unit}{_for(rate)}" for rate in price.rates)
        return f"{rates} for each begun package of {size}"
    steps = _steps(price.tiers, unit) if price.tiers else ""
    steps += "; ".join(_steps(of.tiers, unit) + _for(of) for of in price.tier_rates)
    if price.model == "graduated":
        return f"each part of the quantity at its own tier: {steps}"
    return f"the whole quantity at the tier that it reaches: {steps}"


def _steps(tiers: tuple[Tier, ...], unit: str) -> str:
    return ", ".join(
        f"{_plain(tier.unit_amount)} {unit} each{_flat(tier, unit)} "
        + (f"up to {_plain(tier.up_to)}" if tier.up_to is not None else "above")
        for tier in tiers
    )


def _flat(tier: Tier, unit: str) -> str:
    return "" if tier.flat_amount is None else f" and {_plain(tier.flat_amount)} {unit} once"


def _for(rate: Rate | TierRate) -> str:
    return f" ({', '.join(value for _, value in rate.dimensions)})" if rate.dimensions else ""


def _plain(number: Decimal) -> str:
    shown = f"{number:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
