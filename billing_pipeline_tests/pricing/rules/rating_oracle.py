"""Rating once more, a snapshot at a time with `decimal.Decimal`, to hold the vectorised path against.

Written from the rules (design, docstrings), not from `pricing.rules.rating`; it reads the book's model, not its rows.
"""

import decimal
import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from billing_pipeline.core.money import to_minor
from billing_pipeline.pricing.rules.price_book import Price, PriceBook, Version, price_rows
from billing_pipeline.pricing.rules.rating import Rated, price_frame, rate
from billing_pipeline.pricing.rules.rating_frames import SNAPSHOT_SCHEMA

CONTEXT = decimal.Context(prec=200)


@dataclass(frozen=True)
class Snapshot:
    customer_id: str
    meter: str
    quantity: Decimal
    dimensions: str = "{}"
    currency: str = "usd"
    start_date: date = date(2025, 3, 1)
    basis: str = "measured"

    @property
    def invoice_id(self) -> str:
        return f"{self.customer_id}/{self.start_date}"


def rated(snapshots: list[Snapshot], books: list[PriceBook]) -> Rated:
    """`rate` of these snapshots and books."""
    rows = [{name: getattr(s, name, 1) for name in SNAPSHOT_SCHEMA.names} for s in snapshots]
    frame = pa.Table.from_pylist(rows, schema=SNAPSHOT_SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)
    prices = price_frame([row for book in books for row in price_rows(book)])
    return rate(frame, prices.sort_values("price_id", ignore_index=True))  # as the builds read them


def expected(snapshots: list[Snapshot], books: list[PriceBook]) -> tuple[list[dict[str, Any]], list[str]]:
    """Lines (without ids and descriptions) in order, and a reason for each unpriced snapshot."""
    with decimal.localcontext(CONTEXT):
        keyed, reasons = [], []
        groups: dict[tuple[Any, ...], tuple[Version, Price, list[tuple[Snapshot, Decimal]]]] = {}
        invoices = list(dict.fromkeys(s.invoice_id for s in snapshots))
        for snapshot in snapshots:
            found = _resolve(snapshot, books)
            if isinstance(found, str):
                reasons.append(found)
                continue
            version, owner, price, unit_amount = found
            position = _position(version, owner, price)
            place = (invoices.index(snapshot.invoice_id), position, snapshot.meter)
            group = groups.setdefault((place, version.id, owner), (version, price, []))
            for tier_no, usage, included, quantity, amount in _lines(price, unit_amount, snapshot.quantity):
                exact = quantity * amount
                group[2].append((snapshot, exact))
                sort_key = (*place, False, snapshot.dimensions.encode(), tier_no, owner is not None)
                line = _line(snapshot, snapshot.dimensions, "usage", usage, included, quantity, amount, version)
                keyed.append((sort_key, line))
        for (place, _, owner), (version, price, members) in groups.items():
            if price.minimum is None or not any(s.quantity > 0 for s, _ in members):
                continue
            missing = price.minimum - sum((exact for _, exact in members), Decimal(0))
            missing = missing.quantize(Decimal("1e-12"), rounding=decimal.ROUND_HALF_UP)
            if missing > 0:
                line = _line(members[0][0], "{}", "minimum", Decimal(0), Decimal(0), Decimal(1), missing, version)
                keyed.append(((*place, True, b"", 0, owner is not None), line))
        keyed.sort(key=lambda pair: pair[0])
        counts: dict[str, int] = {}
        for _, line in keyed:
            counts[line["invoice_id"]] = counts.get(line["invoice_id"], 0) + 1
            line["line_no"] = counts[line["invoice_id"]]
        return [line for _, line in keyed], reasons


def _resolve(snapshot: Snapshot, books: list[PriceBook]) -> tuple[Version, str | None, Price, Decimal | None] | str:
    started = [
        version
        for book in books
        if book.currency == snapshot.currency
        for version in book.versions
        if version.effective_from <= snapshot.start_date
    ]
    if not started:
        return "no price version in force"
    version = max(started, key=lambda v: v.effective_from)
    wanted = json.loads(snapshot.dimensions)
    own = [(snapshot.customer_id, price) for price in version.customers.get(snapshot.customer_id, ())]
    for owner, price in [*own, *((None, price) for price in version.prices)]:
        if price.meter != snapshot.meter:
            continue
        for rate_ in price.rates:
            if rate_.dimensions and dict(rate_.dimensions) == wanted:
                return _not_negative(snapshot) or (version, owner, price, rate_.amount)
        if price.tiers:
            return _not_negative(snapshot) or (version, owner, price, None)
        if not price.rates[0].dimensions:
            return _not_negative(snapshot) or (version, owner, price, price.rates[0].amount)
    return f"no price for meter {snapshot.meter}"


def _not_negative(snapshot: Snapshot) -> str | None:
    return "negative quantity" if snapshot.quantity < 0 else None


def _position(version: Version, owner: str | None, price: Price) -> int:
    book_meters = [p.meter for p in version.prices]
    if price.meter in book_meters:
        return book_meters.index(price.meter)
    return len(book_meters) + [p.meter for p in version.customers[owner or ""]].index(price.meter)


def _lines(
    price: Price, unit_amount: Decimal | None, usage: Decimal
) -> list[tuple[int, Decimal, Decimal, Decimal, Decimal]]:
    """(tier_no, usage, included, quantity, unit_amount) of each usage line."""
    zero = Decimal(0)
    covered = min(usage, price.included)
    billed = usage - covered
    if price.model == "flat":
        return [(0, usage, zero, Decimal(int(usage > 0)), unit_amount or zero)]
    if price.model == "per_unit":
        return [(0, usage, covered, billed, unit_amount or zero)]
    if price.model == "package":
        assert price.package_size
        whole, rest = divmod(billed, price.package_size)
        return [(0, usage, covered, whole + int(rest > 0), unit_amount or zero)]
    lines, lower = [], zero
    for tier_no, tier in enumerate(price.tiers):
        upper = Decimal("Infinity") if tier.up_to is None else tier.up_to
        if price.model == "volume" and (lower < billed <= upper or (billed == 0 and tier_no == 0)):
            lines.append((tier_no, usage, covered, billed, tier.unit_amount))
        if price.model == "graduated" and (billed > lower or tier_no == 0):
            own, free = min(billed, upper) - lower, covered if tier_no == 0 else zero
            lines.append((tier_no, own + free, free, own, tier.unit_amount))
        lower = upper
    return lines


def _line(
    snapshot: Snapshot,
    dimensions: str,
    kind: str,
    usage: Decimal,
    included: Decimal,
    quantity: Decimal,
    unit_amount: Decimal,
    version: Version,
) -> dict[str, Any]:
    if quantity >= 10**18:
        raise OverflowError("quantity")
    return {
        "invoice_id": snapshot.invoice_id,
        "customer_id": snapshot.customer_id,
        "meter": snapshot.meter,
        "dimensions": dimensions,
        "kind": kind,
        "usage_quantity": usage,
        "included_quantity": included,
        "quantity": quantity,
        "unit_amount": unit_amount,
        "exact_amount": quantity * unit_amount,
        "currency": snapshot.currency,
        "amount_minor": to_minor(quantity * unit_amount, snapshot.currency),
        "price_version": version.id,
        "basis": snapshot.basis,
    }
