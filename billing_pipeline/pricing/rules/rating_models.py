"""What each model makes of a quantity: the billed quantity and the lines it falls into.

Here: tiers, their flat amounts, packages, in exact decimals. Not here: which price applies, allowances and what is
counted together (`rating_scopes`), amounts, minimums, texts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.price_book_model import Model
from billing_pipeline.pricing.rules.rating_frames import DECIMAL, Codes, pc, take, values
from billing_pipeline.pricing.rules.rating_limits import LARGEST, ONE, TOO_MANY_PACKAGES, ZERO, DoesNotFitError
from billing_pipeline.pricing.rules.rating_prices import PriceTable
from billing_pipeline.pricing.rules.rating_scopes import Placed


@dataclass(frozen=True)
class Parts:
    """Lines before they have amounts: per line the snapshot's row, the price's row, and three quantities.

    `usage` sums to the snapshot's quantity over its lines; `included` is the part of it that the allowance
    covers. `is_fee`: the line is the flat amount of its tier, once.
    """

    snapshot: Codes
    price: Codes
    tier: Codes
    usage: Array
    included: Array
    quantity: Array
    is_fee: npt.NDArray[np.bool_]


def split(placed: Placed, table: PriceTable) -> Parts:
    """The lines of priced snapshots, in no particular order.

    Raises DoesNotFitError for quantities that numeric(30,12) does not hold.
    """
    models = np.array(values(table.columns["model"]), dtype=object)
    set_model = models[table.set_rows[table.set_first]] if len(table.set_first) else models
    parts = []
    for model, lines in _LINES.items():
        of_model = (set_model == model)[placed.price_set]
        if of_model.all() and len(of_model):
            return _concat(lines(placed, table))
        rows = np.flatnonzero(of_model)
        if len(rows):
            parts += lines(placed.at(rows), table)
    return _concat(parts)


def in_trial(parts: Parts, trials: Array) -> Parts:
    """The lines with those of trials, by snapshot, made free: their usage is included, none of it is billed."""
    free = pc.fill_null(trials, False)
    if not pc.any(free).as_py():
        return parts
    is_free = take(free, parts.snapshot)
    return replace(
        parts,
        included=pc.if_else(is_free, parts.usage, parts.included),
        quantity=pc.if_else(is_free, ZERO, parts.quantity),
    )


def _flat(placed: Placed, table: PriceTable) -> list[Parts]:
    used = pc.if_else(pc.greater(placed.usage, ZERO), ONE, ZERO)
    return [_lines(placed, table, _zeros(len(used)), used)]


def _per_unit(placed: Placed, table: PriceTable) -> list[Parts]:
    return [_lines(placed, table, placed.covered, placed.billed)]


def _package(placed: Placed, table: PriceTable) -> list[Parts]:
    size = take(table.columns["package_size"], table.set_rows[table.set_first[placed.price_set]])
    packages = _begun(placed.end(), size, placed.snapshot)
    if placed.total is not placed.billed:
        packages = pc.subtract(packages, _begun(placed.start, size, placed.snapshot))
    return [_lines(placed, table, placed.covered, pc.cast(packages, DECIMAL))]


def _lines(placed: Placed, table: PriceTable, included: Array, quantity: Array) -> Parts:
    """A line a snapshot."""
    price = table.set_rows[table.set_first[placed.price_set]]
    no_fee = np.zeros(len(price), dtype=bool)
    return Parts(placed.snapshot, price, np.zeros_like(price), placed.usage, included, quantity, no_fee)


def _begun(quantity: Array, size: Array, snapshot: Codes) -> Array:
    """How many packages hold the quantity."""
    quotient = pc.floor(pc.divide(quantity, size))
    too_many = pc.greater_equal(quotient, pa.scalar(Decimal(10**18 - 1), pa.decimal256(18, 0)))
    if pc.any(too_many).as_py():
        raise DoesNotFitError(snapshot[np.flatnonzero(too_many.to_numpy(zero_copy_only=False))], TOO_MANY_PACKAGES)
    # Arrow truncates the quotient after 31 decimals, so a remainder shows only in the product.
    whole = pc.cast(quotient, pa.decimal256(18, 0))
    begun = pc.less(pc.multiply(whole, size), quantity)
    packages: Array = pc.if_else(begun, pc.add(whole, pa.scalar(Decimal(1), pa.decimal256(1, 0))), whole)
    return packages


def _volume(placed: Placed, table: PriceTable) -> list[Parts]:
    tiers = _tiers(placed, table)
    reached = pc.or_(
        pc.and_(pc.greater(tiers.of.total, tiers.lower), pc.less_equal(tiers.of.total, tiers.upper)),
        pc.and_(pa.array(tiers.tier == 0), pc.equal(tiers.of.total, ZERO)),
    )
    tiers = tiers.at(np.flatnonzero(reached.to_numpy(zero_copy_only=False)))
    of = tiers.of
    no_fee = np.zeros(len(of.snapshot), dtype=bool)
    lines = Parts(of.snapshot, tiers.price, tiers.tier, of.usage, of.covered, of.billed, no_fee)
    # of all that is counted together, the first that is billed brings the tier's flat amount
    first = pc.and_(pc.equal(of.start, ZERO), pc.greater(of.billed, ZERO))
    return [lines, _fees(tiers, first, table)]


def _graduated(placed: Placed, table: PriceTable) -> list[Parts]:
    tiers = _tiers(placed, table)
    of = tiers.of
    end = of.end()
    top = pc.if_else(pc.greater(end, tiers.upper), tiers.upper, end)
    bottom = pc.if_else(pc.greater(of.start, tiers.lower), of.start, tiers.lower)
    within = pc.greater(top, bottom)
    # what is not billed is a line of the tier that it would begin in
    empty = pc.and_(pc.equal(of.billed, ZERO), pc.less_equal(tiers.lower, of.start))
    empty = pc.and_(empty, pc.or_(pc.less(of.start, tiers.upper), tiers.is_open))
    rows = np.flatnonzero(pc.or_(within, empty).to_numpy(zero_copy_only=False))
    kept = tiers.at(rows)
    quantity = pc.if_else(within, pc.subtract(top, bottom), pa.scalar(Decimal(0), pa.decimal256(31, 12)))
    quantity = pc.cast(take(quantity, rows), DECIMAL)
    owner = kept.of.snapshot
    is_first = np.concatenate([[True], owner[1:] != owner[:-1]]) if len(owner) else np.zeros(0, dtype=bool)
    covered = pc.if_else(pa.array(is_first), kept.of.covered, ZERO)
    usage = pc.cast(pc.add(quantity, covered), DECIMAL)
    lines = Parts(owner, kept.price, kept.tier, usage, covered, quantity, np.zeros(len(owner), dtype=bool))
    reached = pc.and_(pc.less_equal(kept.of.start, kept.lower), pc.greater(quantity, ZERO))
    return [lines, _fees(kept, reached, table)]


def _fees(tiers: "_Tiers", reached: Array, table: PriceTable) -> Parts:
    """The flat amounts of those tiers that have one, where `reached`."""
    with_fee = pc.and_(reached, take(table.columns["flat_amount"], tiers.price).is_valid())
    rows = np.flatnonzero(with_fee.to_numpy(zero_copy_only=False))
    zeros, is_fee = _zeros(len(rows)), np.ones(len(rows), dtype=bool)
    ones = pa.repeat(ONE, len(rows))
    return Parts(tiers.of.snapshot[rows], tiers.price[rows], tiers.tier[rows], zeros, zeros, ones, is_fee)


_LINES: dict[Model, Callable[[Placed, PriceTable], list[Parts]]] = {
    "flat": _flat,
    "per_unit": _per_unit,
    "graduated": _graduated,
    "volume": _volume,
    "package": _package,
}


@dataclass(frozen=True)
class _Tiers:
    """Every snapshot, with what is billed of it, once per tier of its price, which spans `(lower, upper]`."""

    of: Placed
    price: Codes
    tier: Codes
    lower: Array
    upper: Array
    is_open: Array

    def at(self, rows: Codes) -> "_Tiers":
        bounds = (take(column, rows) for column in (self.lower, self.upper, self.is_open))
        return _Tiers(self.of.at(rows), self.price[rows], self.tier[rows], *bounds)


def _tiers(placed: Placed, table: PriceTable) -> _Tiers:
    counts = table.set_count[placed.price_set]
    owner = np.repeat(np.arange(len(placed.price_set), dtype=np.int64), counts)
    tier = np.arange(len(owner), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    price = table.set_rows[table.set_first[placed.price_set][owner] + tier]
    up_to = take(table.columns["tier_up_to"], price)
    lower, upper = take(table.columns["tier_from"], price), pc.fill_null(up_to, LARGEST)
    return _Tiers(placed.at(owner), price, tier, lower, upper, up_to.is_null())


def _zeros(count: int) -> Array:
    return pa.repeat(ZERO, count)


def _concat(parts: list[Parts]) -> Parts:
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Parts(nothing, nothing, nothing, _zeros(0), _zeros(0), _zeros(0), np.zeros(0, dtype=bool))
    if len(parts) == 1:
        return parts[0]
    return Parts(
        snapshot=np.concatenate([part.snapshot for part in parts]),
        price=np.concatenate([part.price for part in parts]),
        tier=np.concatenate([part.tier for part in parts]),
        usage=pa.concat_arrays([part.usage for part in parts]),
        included=pa.concat_arrays([part.included for part in parts]),
        quantity=pa.concat_arrays([part.quantity for part in parts]),
        is_fee=np.concatenate([part.is_fee for part in parts]),
    )
