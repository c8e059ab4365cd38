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
        resolved = [aside.get(number) or _resolve(snapshot, books) for number, snapshot in enumerate(snapshots)]
        places = _places(snapshots, resolved)
        for number, snapshot in enumerate(snapshots):
            found = resolved[number]
            if isinstance(found, str):
                reasons.append(found)
                continue
            version, owner, price, unit_amount = found
            position = _position(version, owner, price)
            place = (invoices.index(snapshot.invoice_id), position, snapshot.meter)
            group = groups.setdefault((place, version.id, owner), (version, price, []))
            if price.package_size and _end(places[number]) // price.package_size >= 10**18 - 1:
                packages.append(number)
                continue
            for kind, tier_no, usage, included, quantity, amount in _lines(price, unit_amount, places[number]):
                if snapshot.in_trial:
                    included, quantity = usage, Decimal(0)
                of_meter = kind == "b" and price.scope == "meter"
                has_none = price.lines == "merged" or of_meter
                dimensions = "{}" if has_none else snapshot.dimensions
                alone = b"" if has_none else snapshot.dimensions.encode()
                sort_key = (*place, int(of_meter), alone, tier_no, _rank(owner), kind, amount)
                together = (sort_key, version.id, owner)
                own = pieces.setdefault(together, (sort_key, group, dimensions, amount, version, []))
                own[-1].append((number, snapshot, usage, included, quantity))
        if packages:
            raise _TooLargeError(packages, "more packages than can be billed")
        keyed = _usage_lines(pieces)
        keyed += _bounds(groups)
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
        kind = sort_key[-2]
        basis = max((part[1].basis for part in members), key=["measured", "corrected", "carried_forward"].index)
        line = _line(first, dimensions, _KINDS[kind], usage, included, quantity, amount, minor, version)
        keyed.append((sort_key, line | {"basis": basis}))
    if amounts:
        raise _TooLargeError(amounts, "an amount larger than can be billed")
    return keyed


def _bounds(groups: dict[tuple[Any, ...], Group]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The lines, with what they are sorted by, that hold what a price comes to between its minimum and maximum."""
    keyed, large = [], []
    for (place, _, owner), (version, price, all_members) in groups.items():
        for bound in ("minimum", "maximum"):
            limit = getattr(price, bound)
            each = price.scope == "combination"
            for dimensions in dict.fromkeys(s.dimensions if each else "{}" for _, s, _, _ in all_members):
                members = [m for m in all_members if not each or m[1].dimensions == dimensions]
                used = any(usage > 0 and not s.in_trial for _, s, usage, _ in members)
                if limit is None or (bound == "minimum" and not used):
                    continue
                first = members[0][1]
                missing = _minor(limit, first.currency) - sum(minor for *_, minor in members)
                if (missing <= 0) if bound == "minimum" else (missing >= 0):
                    continue
                major = Decimal(missing).scaleb(-exponent(first.currency))
                if abs(missing) > AMOUNT_MINOR_MAX or abs(major) >= 10**18:
                    large += [(bound, number) for numbers, *_ in members for number in numbers]
                    continue
                zero = Decimal(0)
                line = _line(first, dimensions, bound, zero, zero, Decimal(1), major, missing, version)
                alone = dimensions.encode() if each else b""
                kind = "p" if bound == "minimum" else "q"
                keyed.append(((*place, 2, alone, 0, _rank(owner), kind, zero), line))
    if large:
        kinds = {bound for bound, _ in large}
        first_kind = "minimum" if "minimum" in kinds else "maximum"
        numbers = [number for bound, number in large if bound == first_kind]
        raise _TooLargeError(numbers, "an amount larger than can be billed")
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


_KINDS = {"a": "usage", "b": "fee"}
Place = tuple[Decimal, Decimal, Decimal, Decimal]
"""Of a snapshot: its usage; what the allowance covers of it; what is billed before it, and in all, with it."""


def _end(place: Place) -> Decimal:
    usage, covered, start, _ = place
    return start + usage - covered


def _places(snapshots: list[Snapshot], resolved: list[Any]) -> dict[int, Place]:
    """One after the other, in the order of the lines, for what is counted together."""
    priced = [number for number, found in enumerate(resolved) if not isinstance(found, str)]
    pools: dict[Any, list[int]] = defaultdict(list)
    scopes: dict[Any, list[int]] = defaultdict(list)
    for number in priced:
        version, owner, price, _ = resolved[number]
        invoice = (snapshots[number].invoice_id, version.id, owner)
        alone = (number,)
        scope = (*invoice, "of", price.meter) if price.scope == "meter" else alone
        pools[(*invoice, "pool", price.pool) if price.pool else scope].append(number)
        scopes[scope].append(number)

    def place_of_line(number: int) -> Any:
        version, owner, price, _ = resolved[number]
        return _position(version, owner, price), price.meter, snapshots[number].dimensions.encode()

    covered: dict[int, Decimal] = {}
    for members in pools.values():
        left = resolved[members[0]][2].included
        for number in sorted(members, key=place_of_line):
            covered[number] = min(left, snapshots[number].quantity)
            left -= covered[number]
    billed = {number: snapshots[number].quantity - covered[number] for number in priced}
    _refuse_large_sums(pools, {number: snapshots[number].quantity for number in priced})
    _refuse_large_sums(scopes, billed)
    places: dict[int, Place] = {}
    for members in scopes.values():
        total = sum((billed[n] for n in members), Decimal(0))
        start = Decimal(0)
        for number in sorted(members, key=place_of_line):
            usage = snapshots[number].quantity
            places[number] = (usage, covered[number], start, total)
            start += billed[number]
    return places


def _refuse_large_sums(groups: dict[Any, list[int]], sizes: dict[int, Decimal]) -> None:
    large = [number for own in groups.values() if sum(sizes[n] for n in own) >= 10**18 for number in own]
    if large:
        raise _TooLargeError(large, "a quantity larger than can be billed")


def _lines(
    price: Price, unit_amount: Decimal | None, place: Place
) -> list[tuple[str, int, Decimal, Decimal, Decimal, Decimal]]:
    """(kind, tier_no, usage, included, quantity, unit_amount) of each usage line and fee."""
    zero = Decimal(0)
    usage, covered, start, total = place
    billed, end = usage - covered, _end(place)
    if price.model == "flat":
        return [("a", 0, usage, zero, Decimal(int(usage > 0)), unit_amount or zero)]
    if price.model == "per_unit":
        return [("a", 0, usage, covered, billed, unit_amount or zero)]
    if price.model == "package":
        assert price.package_size
        packages = [whole + int(rest > 0) for whole, rest in (divmod(n, price.package_size) for n in (start, end))]
        return [("a", 0, usage, covered, packages[1] - packages[0], unit_amount or zero)]
    lines, lower = [], zero
    free = covered
    for tier_no, tier in enumerate(price.tiers):
        upper = Decimal("Infinity") if tier.up_to is None else tier.up_to
        fee = ("b", tier_no, zero, zero, Decimal(1), tier.flat_amount or zero)
        if price.model == "volume" and (lower < total <= upper or (total == 0 and tier_no == 0)):
            lines.append(("a", tier_no, usage, covered, billed, tier.unit_amount))
            if start == 0 and billed > 0 and tier.flat_amount is not None:
                lines.append(fee)
        if price.model == "graduated":
            own = min(end, upper) - max(start, lower)
            if own > 0 or (billed == 0 and lower <= start < upper):
                lines.append(("a", tier_no, max(own, zero) + free, free, max(own, zero), tier.unit_amount))
                free = zero
                if own > 0 and start <= lower and tier.flat_amount is not None:
                    lines.append(fee)
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
