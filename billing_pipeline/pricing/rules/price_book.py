"""The price book: loading it, its flat form (one row per rate or tier), and which version prices a period.

Here: the public face of the book's modules and the table `billing.prices` in miniature. Not here: the file's
checks (`price_book_reader`), reading files or settings, applying a price (`rating`).
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing_pipeline.pricing.rules.price_book_model import (
    Lines,
    Meter,
    Model,
    Price,
    PriceBook,
    Prorate,
    Rate,
    Scope,
    Tier,
    TierRate,
    Version,
)
from billing_pipeline.pricing.rules.price_book_reader import load_price_books
from billing_pipeline.pricing.rules.price_book_yaml import PriceBookError

__all__ = [
    "Meter",
    "Price",
    "PriceBook",
    "PriceBookError",
    "PriceRow",
    "Rate",
    "Tier",
    "Version",
    "load_price_books",
    "price_rows",
    "version_in_force",
]

# Part of every price_id ever issued: never change it.
_NAMESPACE = uuid.UUID("3b8b1d53-6f0e-4f0c-9d52-7f6f3a9c2b41")


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One rate or one tier of a book: a row of `billing.prices`.

    `price_id` is derived from all the other fields: a changed price is another row.
    `dimensions` is empty where the row holds for every combination. A tier covers quantities `(tier_from,
    tier_up_to]`, counted after the allowance `included`; `tier_up_to` None is open-ended. `unit_amount` is in
    whole currency units: per unit, per package, or the flat amount; `flat_amount` is the tier's, beside its units.
    `position` orders an invoice's lines; the price of a plan or a customer stands where the price for everybody of that
    meter stands.
    """

    price_id: uuid.UUID
    book: str
    currency: str
    version_id: str
    effective_from: date
    customer_id: str | None
    meter: str
    dimensions: dict[str, str]
    model: Model
    tier_no: int
    tier_from: Decimal
    tier_up_to: Decimal | None
    unit_amount: Decimal
    package_size: Decimal | None
    included: Decimal
    minimum: Decimal | None
    description: str | None
    position: int
    prorate: Prorate | None = None
    plan: str | None = None
    lines: Lines | None = None
    scope: Scope | None = None
    pool: str | None = None
    maximum: Decimal | None = None
    flat_amount: Decimal | None = None


def version_in_force(versions: Sequence[tuple[str, date]], day: date) -> str | None:
    """The id in force on `day`, a period's local start date, of `(version_id, effective_from)` pairs.

    None if every version starts later.
    """
    started = [(effective_from, version_id) for version_id, effective_from in versions if effective_from <= day]
    return max(started)[1] if started else None


def price_rows(book: PriceBook) -> list[PriceRow]:
    """The book as rows, one per rate or tier, in file order; within a version the plans' after those for everybody."""
    rows: list[PriceRow] = []
    for version in book.versions:
        positions = {price.meter: i for i, price in enumerate(version.prices)}
        for price in version.prices:
            rows.extend(_rows_of(book, version, _Owner(), price, positions[price.meter]))
        owned = [
            *((_Owner(plan=plan), prices) for plan, prices in version.plans.items()),
            *((_Owner(customer_id=customer_id), prices) for customer_id, prices in version.customers.items()),
        ]
        for owner, prices in owned:
            for i, price in enumerate(prices):
                position = positions.get(price.meter, len(positions) + i)
                rows.extend(_rows_of(book, version, owner, price, position))
    return rows


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whom a price is for; everybody, if neither is set."""

    customer_id: str | None = None
    plan: str | None = None


def _rows_of(book: PriceBook, version: Version, owner: _Owner, price: Price, position: int) -> Iterator[PriceRow]:
    for rate in price.rates:
        yield _row(book, version, owner, price, position, rate.dimensions, Tier(None, rate.amount), 0, Decimal(0))
    for tiered in (TierRate(price.tiers, ()), *price.tier_rates):
        lower = Decimal(0)
        for tier_no, tier in enumerate(tiered.tiers):
            yield _row(book, version, owner, price, position, tiered.dimensions, tier, tier_no, lower)
            lower = tier.up_to or lower


def _row(
    book: PriceBook,
    version: Version,
    owner: _Owner,
    price: Price,
    position: int,
    of: tuple[tuple[str, str], ...],
    tier: Tier,
    tier_no: int,
    tier_from: Decimal,
) -> PriceRow:
    dimensions = dict(of)
    terms = {
        "prorate": price.prorate,
        "plan": owner.plan,
        "lines": price.lines,
        "scope": price.scope,
        "pool": price.pool,
        "maximum": _plain(price.maximum),
        "flat_amount": _plain(tier.flat_amount),
    }
    later = {name: value for name, value in terms.items() if value is not None}
    content = [
        *(book.name, book.currency, version.id, version.effective_from.isoformat(), owner.customer_id, price.meter),
        *(sorted(dimensions.items()), price.model, tier_no, _plain(tier_from), _plain(tier.up_to)),
        *(_plain(tier.unit_amount), _plain(price.package_size), _plain(price.included), _plain(price.minimum)),
        *(price.description, position),
        *([later] if later else []),  # rows of before keep their ids
    ]
    return PriceRow(
        price_id=uuid.uuid5(_NAMESPACE, json.dumps(content, ensure_ascii=False, separators=(",", ":"))),
        book=book.name,
        currency=book.currency,
        version_id=version.id,
        effective_from=version.effective_from,
        customer_id=owner.customer_id,
        meter=price.meter,
        dimensions=dimensions,
        model=price.model,
        tier_no=tier_no,
        tier_from=tier_from,
        tier_up_to=tier.up_to,
        unit_amount=tier.unit_amount,
        package_size=price.package_size,
        included=price.included,
        minimum=price.minimum,
        description=price.description,
        position=position,
        prorate=price.prorate,
        plan=owner.plan,
        lines=price.lines,
        scope=price.scope,
        pool=price.pool,
        maximum=price.maximum,
        flat_amount=tier.flat_amount,
    )


def _plain(number: Decimal | None) -> str | None:
    """One spelling a value: `5`, `5.0` and `5e0` in the file are the same price."""
    if number is None:
        return None
    whole, _, fraction = format(number, "f").partition(".")  # normalize() would round to the context's digits
    return f"{whole}.{fraction.rstrip('0')}"
