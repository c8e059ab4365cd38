"""`lines: merged`: what an invoice has of a price at one unit price becomes one line, which is rounded once.

Here: which lines become one, and their sums. Not here: amounts, and what the line says (`rating`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.rating_frames import DECIMAL, Codes, pair, pc, ranks, sums, take, values
from billing_pipeline.pricing.rules.rating_limits import AMOUNT_TOO_LARGE, LARGEST, DoesNotFitError
from billing_pipeline.pricing.rules.rating_models import Parts
from billing_pipeline.pricing.rules.rating_prices import PriceTable

_SUM = pa.decimal256(60, 12)
_WEAKEST_LAST = ("measured", "corrected", "carried_forward")


@dataclass(frozen=True)
class Merged:
    """Lines, of which those that `is_merged` marks stand for several parts.

    `line` has the line of each of the `parts` that they came from. `basis` has that of each line: a merged one is as
    sure as the least sure of its snapshots.
    """

    lines: Parts
    is_merged: npt.NDArray[np.bool_]
    basis: Array
    parts: Parts
    line: Codes

    def snapshots(self, lines: Codes) -> Codes:
        """The snapshots that these lines are made of."""
        found: Codes = self.parts.snapshot[np.isin(self.line, lines)]
        return found


def merge(parts: Parts, snapshots: dict[str, Array], invoice: Codes, table: PriceTable) -> Merged:
    """Make one line of all parts of an invoice that one price prices alike; other parts are lines of their own.

    A merged line names the price row with the first id of those that it is made of, which differ in their dimensions
    alone. Raises DoesNotFitError for sums that numeric(30,12) does not hold.
    """
    basis = take(snapshots["basis"], parts.snapshot)
    wanted = pc.fill_null(pc.equal(table.columns["lines"], "merged"), False).to_numpy(zero_copy_only=False)[parts.price]
    if not wanted.any():
        return Merged(parts, wanted, basis, parts, np.arange(len(wanted), dtype=np.int64))
    alone, own = np.flatnonzero(~wanted), np.flatnonzero(wanted)
    rates = _rates(table)
    rate = rates[parts.is_fee[own].astype(np.int64), parts.price[own]]
    group, examples = pair(invoice[parts.snapshot[own]], rate, int(rates.max(initial=0)) + 1)
    usage, included, quantity = (
        sums(group, take(part, own), _SUM) for part in (parts.usage, parts.included, parts.quantity)
    )
    large = pc.greater(usage, LARGEST)  # neither of the others is larger, but for packages of less than one
    large = pc.or_(large, pc.greater(quantity, LARGEST)).to_numpy(zero_copy_only=False)
    if large.any():
        raise DoesNotFitError(parts.snapshot[own][large[group]], AMOUNT_TOO_LARGE)
    lines = Parts(
        snapshot=np.concatenate([parts.snapshot[alone], parts.snapshot[own][examples]]),
        price=np.concatenate([parts.price[alone], _first_price(group, parts.price[own], table)]),
        tier=np.concatenate([parts.tier[alone], parts.tier[own][examples]]),
        usage=pa.concat_arrays([take(parts.usage, alone), pc.cast(usage, DECIMAL)]),
        included=pa.concat_arrays([take(parts.included, alone), pc.cast(included, DECIMAL)]),
        quantity=pa.concat_arrays([take(parts.quantity, alone), pc.cast(quantity, DECIMAL)]),
        is_fee=np.concatenate([parts.is_fee[alone], parts.is_fee[own][examples]]),
    )
    line = np.empty(len(wanted), dtype=np.int64)
    line[alone], line[own] = np.arange(len(alone)), len(alone) + group
    return Merged(
        lines=lines,
        is_merged=np.arange(len(lines.snapshot)) >= len(alone),
        basis=pa.concat_arrays([take(basis, alone), _weakest(group, take(basis, own))]),
        parts=parts,
        line=line,
    )


def _rates(table: PriceTable) -> Codes:
    """A code a price row for what it costs a unit, and one for its tier's flat amount: of one price and tier, alike."""
    known: dict[tuple[Any, ...], int] = {}
    columns = [table.entry_of_row.tolist(), values(table.columns["tier_no"])]
    codes = [
        [
            known.setdefault((name, *rate), len(known))
            for rate in zip(*columns, values(table.columns[name]), strict=True)
        ]
        for name in ("unit_amount", "flat_amount")
    ]
    return np.array(codes, dtype=np.int64)


def _first_price(group: Codes, price: Codes, table: PriceTable) -> Codes:
    rank = ranks(table.columns["price_id"])
    first = np.full(int(group.max()) + 1, len(rank), dtype=np.int64)
    np.minimum.at(first, group, rank[price])
    found: Codes = np.argsort(rank)[first]
    return found


def _weakest(group: Codes, basis: Array) -> Array:
    place = pc.index_in(basis, value_set=pa.array(_WEAKEST_LAST)).to_numpy().astype(np.int64)
    worst = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.maximum.at(worst, group, place)
    return take(pa.array(_WEAKEST_LAST), worst)
