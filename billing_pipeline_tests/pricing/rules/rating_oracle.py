"""Rating once more, a snapshot at a time with `decimal.Decimal`, to hold the vectorised path against.

Written from the rules (design, docstrings), not from `pricing.rules.rating`; it reads the book's model, not its rows.
"""

import decimal
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from billing_pipeline.core.money import AMOUNT_MINOR_MAX, exponent, rounding_step_minor
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
    plan: str | None = None
    in_trial: bool | None = None

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
    aside: dict[int, str] = {}
    while True:
        try:
            return _expected(snapshots, books, aside)
        except _TooLargeError as error:
            aside |= dict.fromkeys((i for i in error.snapshots if i not in aside), error.reason)


Group = tuple[Version, Price, list[tuple[list[int], Snapshot, Decimal, int]]]
"""A price on an invoice, and its lines: the numbers of their snapshots, the first one, their usage and amount."""


class _TooLargeError(Exception):
    def __init__(self, snapshots: list[int], reason: str) -> None:
        self.snapshots, self.reason = snapshots, reason


def _expected(
    snapshots: list[Snapshot], books: list[PriceBook], aside: dict[int, str]
) -> tuple[list[dict[str, Any]], list[str]]:
    with decimal.localcontext(CONTEXT):
        reasons = []
        packages: list[int] = []
        groups: dict[tuple[Any, ...], Group] = {}
        pieces: dict[tuple[Any, ...], Any] = {}  # by line: what it is made of
        invoices = list(dict.fromkeys(s.invoice_id for s in snapshots))
        for number, snapshot in enumerate(snapshots):
            found = aside.get(number) or _resolve(snapshot, books)
            if isinstance(found, str):
                reasons.append(found)
                continue
            version, owner, price, unit_amount = found
            position = _position(version, owner, price)
            place = (invoices.index(snapshot.invoice_id), position, snapshot.meter)
            group = groups.setdefault((place, version.id, owner), (version, price, []))
            for tier_no, usage, included, quantity, amount in _lines(price, unit_amount, snapshot.quantity):
                if snapshot.in_trial:
                    included, quantity = usage, Decimal(0)
                if quantity >= 10**18 - 1 and price.model == "package":
                    packages.append(number)
                dimensions = "{}" if price.lines == "merged" else snapshot.dimensions
                alone = b"" if price.lines == "merged" else snapshot.dimensions.encode()
                sort_key = (*place, False, alone, tier_no, _rank(owner), amount)
                together = (sort_key, version.id, owner)
                own = pieces.setdefault(together, (sort_key, group, dimensions, amount, version, []))
                own[-1].append((number, snapshot, usage, included, quantity))
        if packages:
            raise _TooLargeError(packages, "more packages than can be billed")
        keyed = _usage_lines(pieces)
        keyed += _minimums(groups)
        _refuse_large_totals(snapshots, books, [line for _, line in keyed])
        keyed.sort(key=lambda pair: pair[0])
        counts: dict[str, int] = {}
        for _, line in keyed:
            counts[line["invoice_id"]] = counts.get(line["invoice_id"], 0) + 1
            line["line_no"] = counts[line["invoice_id"]]
        return [line for _, line in keyed], reasons


def _usage_lines(pieces: dict[tuple[Any, ...], Any]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The lines, with what they are sorted by, each of one piece or of all that are merged."""
    keyed, amounts = [], []
    sums = {key: tuple(sum(part[i] for part in own[-1]) for i in (2, 3, 4)) for key, own in pieces.items()}
    for key, own in pieces.items():
        if max(sums[key]) >= 10**18:
            amounts += [part[0] for part in own[-1]]
    if amounts:
        raise _TooLargeError(amounts, "an amount larger than can be billed")
    for key, (sort_key, group, dimensions, amount, version, members) in pieces.items():
        usage, included, quantity = sums[key]
        first = members[0][1]
        minor = _minor(quantity * amount, first.currency)
        if minor > AMOUNT_MINOR_MAX:
            amounts += [part[0] for part in members]
        group[2].append(([part[0] for part in members], first, usage, minor))
        basis = max((part[1].basis for part in members), key=["measured", "corrected", "carried_forward"].index)
        line = _line(first, dimensions, "usage", usage, included, quantity, amount, minor, version)
        keyed.append((sort_key, line | {"basis": basis}))
    if amounts:
        raise _TooLargeError(amounts, "an amount larger than can be billed")
    return keyed


def _minimums(groups: dict[tuple[Any, ...], Group]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The lines, with what they are sorted by, that lift groups of used lines to their price's minimum."""
    keyed, large = [], []
    for (place, _, owner), (version, price, members) in groups.items():
        if price.minimum is None or not any(usage > 0 and not s.in_trial for _, s, usage, _ in members):
            continue
        first = members[0][1]
        missing = _minor(price.minimum, first.currency) - sum(minor for *_, minor in members)
        major = Decimal(missing).scaleb(-exponent(first.currency))
        if missing > AMOUNT_MINOR_MAX or major >= 10**18:
            large += [number for numbers, *_ in members for number in numbers]
        elif missing > 0:
            zero = Decimal(0)
            line = _line(first, "{}", "minimum", zero, zero, Decimal(1), major, missing, version)
            keyed.append(((*place, True, b"", 0, _rank(owner), zero), line))
    if large:
        raise _TooLargeError(large, "an amount larger than can be billed")
    return keyed


def _refuse_large_totals(snapshots: list[Snapshot], books: list[PriceBook], lines: list[dict[str, Any]]) -> None:
    totals: dict[str, int] = defaultdict(int)
    for line in lines:
        totals[line["invoice_id"]] += line["amount_minor"]
    beyond = {invoice for invoice, total in totals.items() if total > AMOUNT_MINOR_MAX}
    if beyond:
        numbers = [i for i, s in enumerate(snapshots) if s.invoice_id in beyond and _is_billed(s, books)]
        raise _TooLargeError(numbers, "an invoice total larger than can be billed")


def _minor(amount: Decimal, currency: str) -> int:
    """Half away from zero, to the currency's step."""
    step = Decimal(rounding_step_minor(currency)).scaleb(-exponent(currency))
    steps = (amount / step).quantize(Decimal(1), rounding=decimal.ROUND_HALF_UP)
    return int(steps) * rounding_step_minor(currency)


def _is_billed(snapshot: Snapshot, books: list[PriceBook]) -> bool:
    return not isinstance(_resolve(snapshot, books), str)


Owner = tuple[str, str] | None
"""`customer` or `plan` with its name; None: the price is for everybody."""


def _rank(owner: Owner) -> int:
    return {"plan": 1, "customer": 2}[owner[0]] if owner else 0


def _resolve(snapshot: Snapshot, books: list[PriceBook]) -> tuple[Version, Owner, Price, Decimal | None] | str:
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
    if snapshot.plan and any(v.plans for v in started) and snapshot.plan not in version.plans:
        return f"no plan {snapshot.plan} in the price book"
    customers = version.customers.get(snapshot.customer_id, ())
    own: list[tuple[Owner, Price]] = [(("customer", snapshot.customer_id), price) for price in customers]
    if snapshot.plan:
        own += [(("plan", snapshot.plan), price) for price in version.plans.get(snapshot.plan, ())]
    for owner, price in [*own, *((None, price) for price in version.prices)]:
        if price.meter != snapshot.meter:
            continue
        for rate_ in price.rates:
            if rate_.dimensions and dict(rate_.dimensions) == wanted:
                return _not_negative(snapshot) or (version, owner, price, rate_.amount)
        for of in price.tier_rates:
            if dict(of.dimensions) == wanted:
                return _not_negative(snapshot) or (version, owner, replace(price, tiers=of.tiers), None)
        if price.tiers:
            return _not_negative(snapshot) or (version, owner, price, None)
        if price.rates and not price.rates[0].dimensions:
            return _not_negative(snapshot) or (version, owner, price, price.rates[0].amount)
    return f"no price for meter {snapshot.meter}"


def _not_negative(snapshot: Snapshot) -> str | None:
    return "negative quantity" if snapshot.quantity < 0 else None


def _position(version: Version, owner: Owner, price: Price) -> int:
    book_meters = [p.meter for p in version.prices]
    if price.meter in book_meters:
        return book_meters.index(price.meter)
    kind, name = owner or ("", "")
    owned = (version.customers if kind == "customer" else version.plans)[name]
    return len(book_meters) + [p.meter for p in owned].index(price.meter)


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
    amount_minor: int,
    version: Version,
) -> dict[str, Any]:
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
        "amount_minor": amount_minor,
        "price_version": version.id,
        "basis": snapshot.basis,
    }
