"""What each model makes of a quantity: the billed quantity and the lines it falls into.

Here: allowances, tiers, packages, in exact decimals. Not here: which price applies, amounts, minimums, texts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pyarrow as pa

from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.price_book_model import Model
from billing_pipeline.pricing.rules.rating_frames import DECIMAL, Codes, pc, take, values
from billing_pipeline.pricing.rules.rating_prices import PriceTable

ZERO = pa.scalar(Decimal(0), DECIMAL)
ONE = pa.scalar(Decimal(1), DECIMAL)
# Above every quantity that fits: stands for an open-ended tier's missing bound.
LARGEST = pa.scalar(Decimal("9" * 18 + "." + "9" * 12), DECIMAL)

AMOUNT_TOO_LARGE = "an amount larger than can be billed"
TOO_MANY_PACKAGES = "more packages than can be billed"


class DoesNotFitError(ValueError):
    """What some snapshots come to is too large to be billed; `snapshots` are their rows, `reason` says what it is."""

    def __init__(self, snapshots: Codes, reason: str) -> None:
        self.snapshots = snapshots
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Parts:
    """Lines before they have amounts: per line the snapshot's row, the price's row, and three quantities.

    `usage` sums to the snapshot's quantity over its lines; `included` is the part of it that the allowance
    covers.
    """

    snapshot: Codes
    price: Codes
    tier: Codes
    usage: Array
    included: Array
    quantity: Array


def split(snapshot: Codes, price_set: Codes, usage: Array, table: PriceTable) -> Parts:
    """The lines of priced snapshots, in no particular order.

    `snapshot` numbers the rows, `price_set` and `usage` (not negative) go with it. Raises DoesNotFitError
    for quantities that numeric(30,12) does not hold.
    """
    models = np.array(values(table.columns["model"]), dtype=object)
    set_model = models[table.set_rows[table.set_first]] if len(table.set_first) else models
    parts = []
    for model, lines in _LINES.items():
        of_model = (set_model == model)[price_set]
        if of_model.all() and len(of_model):
            return lines(snapshot, price_set, usage, table)
        rows = np.flatnonzero(of_model)
        if len(rows):
            parts.append(lines(snapshot[rows], price_set[rows], take(usage, rows), table))
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


def _flat(snapshot: Codes, price_set: Codes, usage: Array, table: PriceTable) -> Parts:
    used = pc.if_else(pc.greater(usage, ZERO), ONE, ZERO)
    price = table.set_rows[table.set_first[price_set]]
    return Parts(snapshot, price, np.zeros_like(price), usage, _zeros(len(usage)), used)


def _per_unit(snapshot: Codes, price_set: Codes, usage: Array, table: PriceTable) -> Parts:
    price = table.set_rows[table.set_first[price_set]]
    billed, covered = _allowance(usage, take(table.columns["included"], price))
    return Parts(snapshot, price, np.zeros_like(price), usage, covered, billed)


def _package(snapshot: Codes, price_set: Codes, usage: Array, table: PriceTable) -> Parts:
    part = _per_unit(snapshot, price_set, usage, table)
    size = take(table.columns["package_size"], part.price)
    quotient = pc.floor(pc.divide(part.quantity, size))
    too_many = pc.greater_equal(quotient, pa.scalar(Decimal(10**18 - 1), pa.decimal256(18, 0)))
    if pc.any(too_many).as_py():
        raise DoesNotFitError(snapshot[np.flatnonzero(too_many.to_numpy(zero_copy_only=False))], TOO_MANY_PACKAGES)
    # Arrow truncates the quotient after 31 decimals, so a remainder shows only in the product.
    whole = pc.cast(quotient, pa.decimal256(18, 0))
    begun = pc.less(pc.multiply(whole, size), part.quantity)
    packages = pc.if_else(begun, pc.add(whole, pa.scalar(Decimal(1), pa.decimal256(1, 0))), whole)
    return Parts(snapshot, part.price, part.tier, usage, part.included, pc.cast(packages, DECIMAL))


def _volume(snapshot: Codes, price_set: Codes, usage: Array, table: PriceTable) -> Parts:
    tiers = _tiers(price_set, usage, table)
    reached = pc.or_(
        pc.and_(pc.greater(tiers.billed, tiers.lower), pc.less_equal(tiers.billed, tiers.upper)),
        pc.and_(pa.array(tiers.tier == 0), pc.equal(tiers.billed, ZERO)),
    )
    rows = np.flatnonzero(reached.to_numpy(zero_copy_only=False))
    owner = tiers.owner[rows]
    covered, billed = take(tiers.covered, rows), take(tiers.billed, rows)
    return Parts(snapshot[owner], tiers.price[rows], tiers.tier[rows], take(usage, owner), covered, billed)


def _graduated(snapshot: Codes, price_set: Codes, usage: Array, table: PriceTable) -> Parts:
    tiers = _tiers(price_set, usage, table)
    first = pa.array(tiers.tier == 0)
    kept = pc.or_(first, pc.greater(tiers.billed, tiers.lower))
    rows = np.flatnonzero(kept.to_numpy(zero_copy_only=False))
    billed, lower, upper = (take(column, rows) for column in (tiers.billed, tiers.lower, tiers.upper))
    top = pc.if_else(pc.greater(billed, upper), upper, billed)
    quantity = pc.cast(pc.subtract(top, lower), DECIMAL)
    covered = pc.if_else(take(first, rows), take(tiers.covered, rows), ZERO)
    own_usage = pc.cast(pc.add(quantity, covered), DECIMAL)
    owner = snapshot[tiers.owner[rows]]
    return Parts(owner, tiers.price[rows], tiers.tier[rows], own_usage, covered, quantity)


_LINES: dict[Model, Callable[[Codes, Codes, Array, PriceTable], Parts]] = {
    "flat": _flat,
    "per_unit": _per_unit,
    "graduated": _graduated,
    "volume": _volume,
    "package": _package,
}


@dataclass(frozen=True)
class _Tiers:
    """Every snapshot (`owner`, its index) once per tier of its price, which spans `(lower, upper]`."""

    owner: Codes
    price: Codes
    tier: Codes
    billed: Array
    covered: Array
    lower: Array
    upper: Array


def _tiers(price_set: Codes, usage: Array, table: PriceTable) -> _Tiers:
    counts = table.set_count[price_set]
    owner = np.repeat(np.arange(len(price_set), dtype=np.int64), counts)
    tier = np.arange(len(owner), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    price = table.set_rows[table.set_first[price_set][owner] + tier]
    billed, covered = _allowance(take(usage, owner), take(table.columns["included"], price))
    upper = pc.fill_null(take(table.columns["tier_up_to"], price), LARGEST)
    return _Tiers(owner, price, tier, billed, covered, take(table.columns["tier_from"], price), upper)


def _allowance(usage: Array, included: Array) -> tuple[Array, Array]:
    """What is billed and what the allowance covers: together the usage."""
    over = pc.subtract(usage, included)
    exceeded = pc.greater(usage, included)
    billed = pc.cast(pc.if_else(exceeded, over, pa.scalar(Decimal(0), over.type)), DECIMAL)
    return billed, pc.if_else(exceeded, included, usage)


def _zeros(count: int) -> Array:
    return pa.repeat(ZERO, count)


def _concat(parts: list[Parts]) -> Parts:
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Parts(nothing, nothing, nothing, _zeros(0), _zeros(0), _zeros(0))
    return Parts(
        snapshot=np.concatenate([part.snapshot for part in parts]),
        price=np.concatenate([part.price for part in parts]),
        tier=np.concatenate([part.tier for part in parts]),
        usage=pa.concat_arrays([part.usage for part in parts]),
        included=pa.concat_arrays([part.included for part in parts]),
        quantity=pa.concat_arrays([part.quantity for part in parts]),
    )
