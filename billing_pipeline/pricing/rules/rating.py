"""Usage snapshots x prices -> invoice line items, in exact decimals, for a month at a time.

Here: the order of lines, amounts, minimums, descriptions. Not here: which price applies (`rating_prices`),
what a model makes of a quantity (`rating_models`), the tables the lines are stored in.

Work per snapshot is done by Arrow and NumPy; Python sees each distinct text and price combination once.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from billing_pipeline.core.money import AMOUNT_MINOR_MAX, AmountOutOfRangeError, exponent, rounding_step_minor
from billing_pipeline.core.money_columns import Array, to_minor_array
from billing_pipeline.pricing.rules.descriptions import default_description, fill, minimum_description
from billing_pipeline.pricing.rules.proration import prorated_column, short_text
from billing_pipeline.pricing.rules.rating_frames import (
    DECIMAL,
    LINE_SCHEMA,
    PRICE_SCHEMA,
    SNAPSHOT_SCHEMA,
    Codes,
    encode,
    pair,
    pc,
    price_frame,
    ranks,
    read_frame,
    sums,
    take,
    to_frame,
    values,
)
from billing_pipeline.pricing.rules.rating_merging import Merged, merge
from billing_pipeline.pricing.rules.rating_models import (
    AMOUNT_TOO_LARGE,
    ONE,
    ZERO,
    DoesNotFitError,
    Parts,
    in_trial,
    split,
)
from billing_pipeline.pricing.rules.rating_prices import PriceTable, index_prices, parse_dimensions, resolve

__all__ = ["Rated", "price_frame", "rate"]

NEGATIVE = "negative quantity"
TOTAL_TOO_LARGE = "an invoice total larger than can be billed"

# Room for the sum of a million million amounts of the largest size.
_SUM_MINOR = pa.decimal256(38, 0)
_MINOR_MAX = pa.scalar(Decimal(AMOUNT_MINOR_MAX), _SUM_MINOR)
_ZERO_MINOR = pa.scalar(Decimal(0), _SUM_MINOR)
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
# What a rate holds before the point: numeric(30,12).
_MAJOR_MAX = pa.scalar(Decimal(10**18 - 1), _SUM_MINOR)


@dataclass(frozen=True)
class Rated:
    """`lines` as `rating_frames.LINE_SCHEMA` says; `unpriced` has the snapshots' columns and a `reason`."""

    lines: pd.DataFrame
    unpriced: pd.DataFrame


def rate(snapshots: pd.DataFrame, prices: pd.DataFrame, *, any_plan: bool = False) -> Rated:
    """The line items of usage snapshots; columns as in `rating_frames.SNAPSHOT_SCHEMA` and `PRICE_SCHEMA`.

    Every snapshot ends up either in `unpriced`, in input order, or in at least one line, be its amount zero.
    Lines are sorted by invoice (in order of first appearance), the price's position, meter, dimensions, tier,
    everybody's price before the plan's and the customer's own, and numbered from 1 within an invoice; how the frames'
    rows are sorted changes only the order of invoices. For every line `exact_amount = quantity * unit_amount`,
    times `billed_days / full_days` where a constant meter's period is short, and `amount_minor` is that, rounded once.
    What is `in_trial` is billed with a quantity of 0, all of its usage included.
    A price's minimum is reached by one further line of kind `minimum` per invoice: what the rounded lines lack of it,
    so that they add up to it in what the customer reads.
    What is too large to be billed goes to `unpriced` and leaves the others as they are.
    `any_plan`: `prices` are a part of a book, so a plan that they do not name is no mistake.

    Raises ValueError for frames of other columns or types.
    """
    columns = read_frame(snapshots, SNAPSHOT_SCHEMA, "snapshots")
    table = index_prices(read_frame(prices, PRICE_SCHEMA, "prices"))
    resolution = resolve(columns, table, any_plan=any_plan)

    reasons = [*resolution.reasons, NEGATIVE]
    negative = pc.less(columns["quantity"], ZERO).to_numpy(zero_copy_only=False)
    reason_code = np.where(negative & (resolution.price_set >= 0), len(reasons) - 1, resolution.reason_code)
    while True:
        billed = np.flatnonzero(reason_code < 0)
        try:
            parts = split(billed, resolution.price_set[billed], take(columns["quantity"], billed), table)
            parts = in_trial(parts, columns["in_trial"])
            lines = _Lines(columns, table, parts).columns()
            break
        except DoesNotFitError as error:  # at least one snapshot fewer is billed the next time
            reasons.append(error.reason)
            reason_code[error.snapshots] = len(reasons) - 1

    unbilled = np.flatnonzero(reason_code >= 0)
    unpriced = {name: take(column, unbilled) for name, column in columns.items()}
    unpriced["reason"] = take(pa.array(reasons, pa.string()), reason_code[unbilled])
    return Rated(
        lines=to_frame(lines, LINE_SCHEMA),
        unpriced=to_frame(unpriced, SNAPSHOT_SCHEMA.append(pa.field("reason", pa.string()))),
    )


@dataclass(frozen=True)
class _Minimums:
    """The further lines: a snapshot of the invoice, the price's first row, what is missing in major and minor units."""

    snapshot: Codes
    price: Codes
    missing: Array
    missing_minor: Array


class _Lines:
    """Amounts, minimums, texts and order for the parts of one call of `rate`."""

    def __init__(self, snapshots: dict[str, Array], table: PriceTable, parts: Parts) -> None:
        self.snapshots = snapshots
        self.prices = table.columns
        self.table = table
        self.invoice, _ = encode(snapshots["invoice_id"])
        self._in_trial = pc.fill_null(snapshots["in_trial"], False).to_numpy(zero_copy_only=False)
        merged = merge(parts, snapshots, self.invoice, table)
        parts = merged.lines
        unit_amount = take(self.prices["unit_amount"], parts.price)
        days, full_days = self._days(parts)
        exact = prorated_column(pc.multiply(parts.quantity, unit_amount), days, full_days)
        minor = self._amount_minor(exact, merged)
        minimums = self._minimums(merged, minor)

        count, further = len(parts.snapshot), len(minimums.snapshot)
        self.snapshot = np.concatenate([parts.snapshot, minimums.snapshot])
        self.price = np.concatenate([parts.price, minimums.price])
        self.tier = np.concatenate([parts.tier, np.zeros(further, dtype=np.int64)])
        self.is_minimum = np.arange(count + further) >= count
        self.has_dimensions = np.concatenate([~merged.is_merged, np.zeros(further, dtype=bool)])
        self.basis = pa.concat_arrays([merged.basis, take(snapshots["basis"], minimums.snapshot)])
        zeros, ones = pa.repeat(ZERO, further), pa.repeat(ONE, further)
        self.usage = pa.concat_arrays([parts.usage, zeros])
        self.included = pa.concat_arrays([parts.included, zeros])
        self.quantity = pa.concat_arrays([parts.quantity, ones])
        self.unit_amount = pa.concat_arrays([unit_amount, minimums.missing])
        self.exact = pa.concat_arrays([exact, pc.multiply(ones, minimums.missing)])
        self.days = pa.concat_arrays([days, pa.nulls(further, pa.int64())])
        self.full_days = pa.concat_arrays([full_days, pa.nulls(further, pa.int64())])
        self.minor = pa.concat_arrays([minor, minimums.missing_minor])
        self._check_totals(merged)

    def columns(self) -> dict[str, Array]:
        """Every column of the lines, in their final order."""
        order = self._order()
        snapshot, price, is_minimum = self.snapshot[order], self.price[order], self.is_minimum[order]
        of_snapshot = {
            name: take(self.snapshots[name], snapshot) for name in ("invoice_id", "customer_id", "meter", "currency")
        }
        dimensions, description = self._texts(snapshot, price, is_minimum, self.has_dimensions[order])
        days, full_days = take(self.days, order), take(self.full_days, order)
        return {
            **of_snapshot,
            "line_no": pa.array(_count_within(self.invoice[snapshot])),
            "dimensions": dimensions,
            "kind": take(pa.array(["usage", "minimum"]), is_minimum.astype(np.int64)),
            "description": _with_days(description, days, full_days, self._in_trial[snapshot] & ~is_minimum),
            "usage_quantity": take(self.usage, order),
            "included_quantity": take(self.included, order),
            "quantity": take(self.quantity, order),
            "unit_amount": take(self.unit_amount, order),
            "exact_amount": take(self.exact, order),
            "amount_minor": take(self.minor, order),
            "price_id": take(self.prices["price_id"], price),
            "price_version": take(self.prices["version_id"], price),
            "basis": take(self.basis, order),
            "billed_days": days,
            "full_days": full_days,
        }

    def _days(self, parts: Parts) -> tuple[Array, Array]:
        """Days and full days of the lines that cost their share, null for the others."""
        days, full_days = (take(self.snapshots[name], parts.snapshot) for name in ("days", "full_days"))
        if days.null_count == len(days):
            return days, full_days
        unprorated = pc.fill_null(pc.equal(take(self.prices["prorate"], parts.price), "none"), False)
        whole = pc.or_(unprorated, pc.fill_null(pc.greater_equal(days, full_days), True))
        nothing = pa.scalar(None, pa.int64())
        return pc.if_else(whole, nothing, days), pc.if_else(whole, nothing, full_days)

    def _minimums(self, merged: Merged, minor: Array) -> _Minimums:
        """Per invoice and price entry whose rounded lines come to less than the entry's minimum, the difference."""
        parts = merged.lines
        with_minimum = self.prices["minimum"].is_valid().to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(with_minimum[parts.price])
        if not len(rows):
            return _Minimums(rows, rows, pa.array([], DECIMAL), pa.array([], pa.int64()))
        entry = self.table.entry_of_row[parts.price[rows]]
        group, examples = pair(self.invoice[parts.snapshot[rows]], entry, len(self.table.entry_first))
        used = np.zeros(len(examples), dtype=bool)
        is_used = pc.greater(take(parts.usage, rows), ZERO).to_numpy(zero_copy_only=False)
        used[group[is_used & ~self._in_trial[parts.snapshot[rows]]]] = True

        missing = pc.subtract(self._minimum_minor(entry[examples]), sums(group, take(minor, rows), _SUM_MINOR))
        due = np.flatnonzero(pc.greater(missing, _ZERO_MINOR).to_numpy(zero_copy_only=False) & used)
        missing, snapshot = take(missing, due), parts.snapshot[rows][examples][due]
        code, currencies = encode(self.snapshots["currency"])
        unit = pa.array([Decimal(1).scaleb(-exponent(c)) for c in values(currencies)], pa.decimal256(4, 3))
        major = pc.multiply(missing, take(unit, code[snapshot]))
        too_large = pc.or_(pc.greater(missing, _MINOR_MAX), pc.greater(major, _MAJOR_MAX))
        if pc.any(too_large).as_py():
            groups = due[np.flatnonzero(too_large.to_numpy(zero_copy_only=False))]
            raise DoesNotFitError(merged.snapshots(rows[np.isin(group, groups)]), AMOUNT_TOO_LARGE)
        price = self.table.entry_first[entry[examples]][due]
        return _Minimums(snapshot, price, pc.cast(major, DECIMAL), pc.cast(missing, pa.int64()))

    def _minimum_minor(self, entry: Codes) -> Array:
        """The entries' minimums, rounded to their currencies' steps as an amount is; too large ones stay so."""
        distinct, place = np.unique(entry, return_inverse=True)
        first = self.table.entry_first[distinct]
        amounts = values(take(self.prices["minimum"], first))
        currencies = values(take(self.prices["currency"], first))
        return take(pa.array(map(_any_minor, amounts, currencies), _SUM_MINOR), place)

    def _check_totals(self, merged: Merged) -> None:
        """Raise DoesNotFitError for the invoices whose lines add up to more than 64 bits of minor units."""
        group, examples = pair(self.invoice[self.snapshot], np.zeros_like(self.snapshot), 1)
        # halves of the range, added as floats, tell for nearly every month that there is nothing to look at
        if np.bincount(group, weights=self.minor.to_numpy(), minlength=1).max(initial=0) < AMOUNT_MINOR_MAX / 2:
            return
        total = sums(group, self.minor, _SUM_MINOR)
        too_large = pc.greater(total, _MINOR_MAX).to_numpy(zero_copy_only=False)
        if too_large.any():
            invoices = self.invoice[self.snapshot[examples[too_large]]]
            billed = merged.parts.snapshot
            raise DoesNotFitError(billed[np.isin(self.invoice[billed], invoices)], TOTAL_TOO_LARGE)

    def _order(self) -> Codes:
        position = self.prices["position"].to_numpy()[self.price]
        meter, meters = encode(self.snapshots["meter"])
        dimensions, texts = encode(self.snapshots["dimensions"])
        meter_rank, text_rank = ranks(meters)[meter], ranks(texts)[dimensions]
        of_plan, of_customer = (
            self.prices[name].is_valid().to_numpy(zero_copy_only=False) for name in ("plan", "customer_id")
        )
        keys = (
            # of a merged price the lines differ in nothing else
            np.where(self.has_dimensions, 0, ranks(self.prices["unit_amount"])[self.price]),
            (of_plan + 2 * of_customer)[self.price],
            self.tier,
            np.where(self.has_dimensions, text_rank[self.snapshot], -1),
            self.is_minimum,
            meter_rank[self.snapshot],
            position,
            self.invoice[self.snapshot],
        )
        return np.lexsort(keys)

    def _texts(
        self, snapshot: Codes, price: Codes, is_minimum: npt.NDArray[np.bool_], has_dimensions: npt.NDArray[np.bool_]
    ) -> tuple[Array, Array]:
        """Dimensions and description; a minimum and a merged line are of no dimensions."""
        code, distinct = encode(self.snapshots["dimensions"])
        dimensions = np.where(has_dimensions, code[snapshot], len(distinct))
        texts = pa.concat_arrays([distinct, pa.array(["{}"])])
        combination, examples = pair(price * 2 + is_minimum, dimensions, len(texts))
        templates, meters = values(self.prices["description"]), values(self.prices["meter"])
        known = values(texts)
        descriptions = []
        for row in examples.tolist():
            template, meter = templates[price[row]], meters[price[row]]
            if is_minimum[row]:
                descriptions.append(minimum_description(meter))
                continue
            pairs = dict(parse_dimensions(known[dimensions[row]]))
            text = default_description(meter, pairs) if template is None else fill(template, pairs)
            descriptions.append(text)
        return take(texts, dimensions), take(pa.array(descriptions, pa.string()), combination)

    def _amount_minor(self, exact: Array, merged: Merged) -> Array:
        code, currencies = encode(self.snapshots["currency"])
        code = code[merged.lines.snapshot]
        amounts = np.zeros(len(code), dtype=np.int64)
        for number, currency in enumerate(values(currencies)):
            rows = np.flatnonzero(code == number)
            own = exact if len(rows) == len(code) else take(exact, rows)
            try:
                amounts[rows] = to_minor_array(own, currency).to_numpy()
            except AmountOutOfRangeError:
                large = merged.snapshots(rows[_too_large(own, currency)])
                raise DoesNotFitError(large, AMOUNT_TOO_LARGE) from None
        return pa.array(amounts)


def _too_large(exact: Array, currency: str) -> Codes:
    """The rows whose amounts do not fit, of which there are few."""
    large = pc.greater(pc.abs(exact), pa.scalar(Decimal(AMOUNT_MINOR_MAX // 2).scaleb(-exponent(currency)), exact.type))
    rows = np.flatnonzero(large.to_numpy(zero_copy_only=False))
    fits = [_any_minor(exact[row].as_py(), currency) <= AMOUNT_MINOR_MAX for row in rows.tolist()]
    too_large: Codes = rows[~np.array(fits, dtype=bool)]
    return too_large


def _any_minor(amount: Decimal, currency: str) -> Decimal:
    """The amount in minor units as `to_minor` rounds it, also where that is more than can be billed."""
    step = rounding_step_minor(currency)
    steps = _EXACT.divide(amount.scaleb(exponent(currency), _EXACT), Decimal(step))
    return steps.quantize(Decimal(1), context=_EXACT) * step


def _with_days(descriptions: Array, days: Array, full_days: Array, trials: npt.NDArray[np.bool_]) -> Array:
    """The texts, and behind them of a trial that it is one, and of prorated lines the share of days."""
    if days.null_count == len(days) and not trials.any():
        return descriptions
    said = zip(values(descriptions), values(days), values(full_days), trials.tolist(), strict=True)
    return pa.array([text + short_text(*rest) for text, *rest in said], pa.string())


def _count_within(groups: Codes) -> Codes:
    """1, 2, 3 … within each run of equal values."""
    if not len(groups):
        return groups
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    lengths = np.diff(np.append(starts, len(groups)))
    return np.arange(1, len(groups) + 1, dtype=np.int64) - np.repeat(starts, lengths)
