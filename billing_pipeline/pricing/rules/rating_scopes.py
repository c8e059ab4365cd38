"""What of each snapshot an allowance covers, and where it stands among what is counted together with it.

Quantities are counted for each combination of dimensions; with `scope` "meter" for all combinations of a price on an
invoice; the allowance of a `pool` for all prices of one list that name it. What is counted together takes its turn in
the order of the invoice's lines: the price's position, the meter, the dimensions.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.rating_frames import DECIMAL, Codes, encode, pair, pc, ranks, take
from billing_pipeline.pricing.rules.rating_limits import LARGEST, QUANTITY_TOO_LARGE, ZERO, DoesNotFitError
from billing_pipeline.pricing.rules.rating_prices import PriceTable

_LIMB = 10**9
_PLACES = pa.scalar(Decimal(10**12), pa.decimal256(13, 0))
_PLACE = pa.scalar(Decimal(1).scaleb(-12), pa.decimal256(13, 12))


@dataclass(frozen=True)
class Placed:
    """Per priced snapshot its row and price set; of its `usage` what the allowance `covered`, and what is `billed`.

    `start`: what was billed before it of what is counted together, of which `total` is all.
    """

    snapshot: Codes
    price_set: Codes
    usage: Array
    covered: Array
    billed: Array
    start: Array
    total: Array

    def at(self, rows: Codes) -> "Placed":
        """Those of these rows."""
        usage, covered, billed = (take(column, rows) for column in (self.usage, self.covered, self.billed))
        start: Array = pa.repeat(ZERO, len(rows))
        total = billed
        if self.total is not self.billed:  # else nothing is counted together
            start, total = take(self.start, rows), take(self.total, rows)
        return Placed(self.snapshot[rows], self.price_set[rows], usage, covered, billed, start, total)

    def end(self) -> Array:
        """What was billed with it of what is counted together."""
        return self.billed if self.total is self.billed else pc.cast(pc.add(self.start, self.billed), DECIMAL)


def place_in_scope(
    snapshot: Codes, price_set: Codes, columns: dict[str, Array], invoice: Codes, table: PriceTable
) -> Placed:
    """The snapshots of these rows, none of them negative, with what is billed of them.

    Raises DoesNotFitError where what is counted together is more than numeric(30,12) holds.
    """
    usage = take(columns["quantity"], snapshot)
    price = table.set_rows[table.set_first[price_set]]
    included = take(table.columns["included"], price)
    pool, across = table.pool_of_row[price], table.across_meter[price]
    together = (pool >= 0) | across
    if not together.any():
        covered = _least(usage, included)
        billed = pc.cast(pc.subtract(usage, covered), DECIMAL)
        return Placed(snapshot, price_set, usage, covered, billed, pa.repeat(ZERO, len(usage)), billed)
    order = _order_of_lines(snapshot, price, columns, table)
    own = invoice[snapshot]
    alone = np.arange(len(snapshot), dtype=np.int64)
    entry = table.entry_of_row[price]
    group = _groups(own, [(pool >= 0, 0, pool), (across, 1, entry)], alone)
    before, _ = _running(group, order, usage, snapshot)
    left = pc.subtract(included, before)
    left = pc.cast(pc.if_else(pc.greater(left, ZERO), left, pa.scalar(Decimal(0), left.type)), DECIMAL)
    covered = _least(usage, left)
    billed = pc.cast(pc.subtract(usage, covered), DECIMAL)
    start, total = _running(_groups(own, [(across, 1, entry)], alone), order, billed, snapshot)
    return Placed(snapshot, price_set, usage, covered, billed, start, total)


def _order_of_lines(snapshot: Codes, price: Codes, columns: dict[str, Array], table: PriceTable) -> Codes:
    """The place of each snapshot among all."""
    meter, meters = encode(columns["meter"])
    dimensions, texts = encode(columns["dimensions"])
    position = table.columns["position"].to_numpy()[price]
    keys = (ranks(texts)[dimensions][snapshot], ranks(meters)[meter][snapshot], position)
    places = np.empty(len(snapshot), dtype=np.int64)
    places[np.lexsort(keys)] = np.arange(len(snapshot))
    return places


def _groups(invoice: Codes, scopes: list[tuple[npt.NDArray[np.bool_], int, Codes]], alone: Codes) -> Codes:
    """A code for all that is counted together; the first scope that holds for a row decides."""
    kind = np.full(len(alone), len(scopes) + 1, dtype=np.int64)
    code = alone
    for holds, number, own in reversed(scopes):
        kind, code = np.where(holds, number, kind), np.where(holds, own, code)
    group, _ = pair(invoice, kind, int(kind.max(initial=0)) + 1)
    group, _ = pair(group, code, int(code.max(initial=0)) + 1)
    return group


def _running(group: Codes, order: Codes, column: Array, snapshot: Codes) -> tuple[Array, Array]:
    """Of each row the exact sum of those before it in its group, and that of the group.

    Sums are made of three whole numbers a decimal, none of which overflows: Arrow adds no decimals up as it goes.
    """
    sorted_rows = np.lexsort((order, group))
    own = group[sorted_rows]
    starts = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]])) if len(own) else np.zeros(0, dtype=np.int64)
    lengths = np.diff(np.append(starts, len(own)))
    before, total = [], []
    for limb in _limbs(column):
        values = limb[sorted_rows]
        sums = np.cumsum(values)
        base = np.repeat((sums - values)[starts], lengths)
        before.append(_unsorted(sums - values - base, sorted_rows))
        of_group = np.add.reduceat(values, starts) if len(own) else values
        total.append(_unsorted(np.repeat(of_group, lengths), sorted_rows))
    whole = _decimal(total)
    large = pc.greater(whole, LARGEST).to_numpy(zero_copy_only=False)
    if large.any():
        raise DoesNotFitError(snapshot[large], QUANTITY_TOO_LARGE)
    return pc.cast(_decimal(before), DECIMAL), pc.cast(whole, DECIMAL)


def _limbs(column: Array) -> list[Codes]:
    """Thousand millions, units and 10⁻¹² parts of decimals that are not negative."""
    whole = pc.floor(column)
    parts = pc.multiply(pc.subtract(column, whole), _PLACES)
    units = pc.cast(whole, pa.int64()).to_numpy()
    return [units // _LIMB, units % _LIMB, pc.cast(parts, pa.int64()).to_numpy()]


def _decimal(limbs: list[Codes]) -> Array:
    high, units, parts = (pc.cast(pa.array(limb), pa.decimal256(19, 0)) for limb in limbs)
    whole = pc.add(pc.multiply(high, pa.scalar(Decimal(_LIMB), pa.decimal256(10, 0))), units)
    found: Array = pc.add(whole, pc.multiply(parts, _PLACE))
    return found


def _unsorted(values: Codes, sorted_rows: Codes) -> Codes:
    found = np.empty_like(values)
    found[sorted_rows] = values
    return found


def _least(first: Array, second: Array) -> Array:
    least: Array = pc.if_else(pc.greater(first, second), second, first)
    return least
