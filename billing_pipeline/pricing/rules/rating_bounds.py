"""The lines that lift what a price comes to on an invoice to its minimum, or take off what is beyond its maximum.

Both are derived from the rounded lines, so that the customer who adds them up comes to the bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from billing_pipeline.core.money import exponent
from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.rating_amounts import MINOR_MAX, SUM_MINOR, ZERO_MINOR, any_minor
from billing_pipeline.pricing.rules.rating_frames import DECIMAL, Codes, encode, pair, pc, sums, take, values
from billing_pipeline.pricing.rules.rating_limits import AMOUNT_TOO_LARGE, ZERO, DoesNotFitError
from billing_pipeline.pricing.rules.rating_merging import Merged
from billing_pipeline.pricing.rules.rating_prices import PriceTable

# What a rate holds before the point: numeric(30,12).
_MAJOR_MAX = pa.scalar(Decimal(10**18 - 1), SUM_MINOR)

Bound = Literal["minimum", "maximum"]
BOUNDS: tuple[Bound, ...] = ("minimum", "maximum")


@dataclass(frozen=True)
class BoundLines:
    """The further lines of one bound: a snapshot of the invoice, the price's first row, the amount."""

    bound: Bound
    snapshot: Codes
    price: Codes
    amount: Array
    amount_minor: Array


def bound_lines(
    merged: Merged,
    minor: Array,
    snapshots: dict[str, Array],
    invoice: Codes,
    in_trial: npt.NDArray[np.bool_],
    table: PriceTable,
) -> Iterator[BoundLines]:
    """Minimums, then maximums; `minor` are the amounts of the lines.

    A minimum is due once there is usage outside a trial. Raises DoesNotFitError for what is too large to be billed.
    """
    for bound in BOUNDS:
        has_bound = table.columns[bound].is_valid().to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(has_bound[merged.lines.price])
        if len(rows):
            yield _lines_of(bound, rows, merged, minor, snapshots, invoice, in_trial, table)


def _lines_of(
    bound: Bound,
    rows: Codes,
    merged: Merged,
    minor: Array,
    snapshots: dict[str, Array],
    invoice: Codes,
    in_trial: npt.NDArray[np.bool_],
    table: PriceTable,
) -> BoundLines:
    lines = merged.lines
    own = lines.snapshot[rows]
    entry = table.entry_of_row[lines.price[rows]]
    group, _ = pair(invoice[own], entry, len(table.entry_first))
    group, examples = pair(group, _combination(lines.price[rows], own, snapshots, table), len(invoice) + 1)
    difference = pc.subtract(_bound_minor(bound, entry[examples], table), sums(group, take(minor, rows), SUM_MINOR))
    if bound == "minimum":
        used = np.zeros(len(examples), dtype=bool)
        is_used = pc.greater(take(lines.usage, rows), ZERO).to_numpy(zero_copy_only=False)
        used[group[is_used & ~in_trial[own]]] = True
        due = np.flatnonzero(pc.greater(difference, ZERO_MINOR).to_numpy(zero_copy_only=False) & used)
    else:
        due = np.flatnonzero(pc.less(difference, ZERO_MINOR).to_numpy(zero_copy_only=False))
    difference, snapshot = take(difference, due), own[examples][due]
    major = pc.multiply(difference, _unit(snapshots["currency"], snapshot))
    too_large = pc.or_(pc.greater(pc.abs(difference), MINOR_MAX), pc.greater(pc.abs(major), _MAJOR_MAX))
    if pc.any(too_large).as_py():
        groups = due[np.flatnonzero(too_large.to_numpy(zero_copy_only=False))]
        raise DoesNotFitError(merged.snapshots(rows[np.isin(group, groups)]), AMOUNT_TOO_LARGE)
    price = table.entry_first[entry[examples]][due]
    return BoundLines(bound, snapshot, price, pc.cast(major, DECIMAL), pc.cast(difference, pa.int64()))


def _combination(price: Codes, snapshot: Codes, snapshots: dict[str, Array], table: PriceTable) -> Codes:
    """A code for the dimensions of lines whose price has its bounds for each combination, 0 for the others."""
    if not table.each_combination[price].any():
        return np.zeros(len(price), dtype=np.int64)
    dimensions, _ = encode(snapshots["dimensions"])
    return np.where(table.each_combination[price], 1 + dimensions[snapshot], 0)


def _unit(currency: Array, snapshot: Codes) -> Array:
    """One minor unit in major ones, of the snapshots' currencies."""
    code, currencies = encode(currency)
    units = pa.array([Decimal(1).scaleb(-exponent(name)) for name in values(currencies)], pa.decimal256(4, 3))
    return take(units, code[snapshot])


def _bound_minor(bound: Bound, entry: Codes, table: PriceTable) -> Array:
    """The entries' bounds, rounded to their currencies' steps as an amount is; too large ones stay so."""
    distinct, place = np.unique(entry, return_inverse=True)
    first = table.entry_first[distinct]
    amounts = values(take(table.columns[bound], first))
    currencies = values(take(table.columns["currency"], first))
    return take(pa.array(map(any_minor, amounts, currencies), SUM_MINOR), place)
