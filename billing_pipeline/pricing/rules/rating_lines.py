"""Line items from the parts that models make of quantities: amounts, order, texts.

Here: what a line says. Not here: what a quantity falls into (`rating_models`), bounds (`rating_bounds`).
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from billing_pipeline.core.money import AMOUNT_MINOR_MAX
from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.descriptions import bound_description, default_description, fee_description, fill
from billing_pipeline.pricing.rules.proration import prorated_column, short_text
from billing_pipeline.pricing.rules.rating_amounts import MINOR_MAX, SUM_MINOR, amounts_minor
from billing_pipeline.pricing.rules.rating_bounds import BOUNDS, bound_lines
from billing_pipeline.pricing.rules.rating_frames import Codes, encode, pair, pc, ranks, sums, take, values
from billing_pipeline.pricing.rules.rating_limits import ONE, TOTAL_TOO_LARGE, ZERO, DoesNotFitError
from billing_pipeline.pricing.rules.rating_merging import Merged, merge
from billing_pipeline.pricing.rules.rating_models import Parts
from billing_pipeline.pricing.rules.rating_prices import PriceTable, parse_dimensions

KINDS = ("usage", "fee", *BOUNDS)
_FEE = KINDS.index("fee")


class Lines:
    """The lines of one call of `rate`. Raises DoesNotFitError for what is too large to be billed."""

    def __init__(self, snapshots: dict[str, Array], invoice: Codes, table: PriceTable, parts: Parts) -> None:
        self.snapshots = snapshots
        self.prices = table.columns
        self.invoice = invoice
        self._in_trial = pc.fill_null(snapshots["in_trial"], False).to_numpy(zero_copy_only=False)
        merged = merge(parts, snapshots, invoice, table)
        parts = merged.lines
        unit_amount = take(self.prices["unit_amount"], parts.price)
        if parts.is_fee.any():
            unit_amount = pc.if_else(pa.array(parts.is_fee), take(self.prices["flat_amount"], parts.price), unit_amount)
        days, full_days = self._days(parts)
        exact = prorated_column(pc.multiply(parts.quantity, unit_amount), days, full_days)
        minor = amounts_minor(exact, snapshots["currency"], merged)
        bounds = list(bound_lines(merged, minor, snapshots, invoice, self._in_trial, table))

        self.snapshot = np.concatenate([parts.snapshot, *(own.snapshot for own in bounds)])
        self.price = np.concatenate([parts.price, *(own.price for own in bounds)])
        further = len(self.snapshot) - len(parts.snapshot)
        of_bounds = [np.full(len(own.snapshot), KINDS.index(own.bound), dtype=np.int64) for own in bounds]
        self.kind = np.concatenate([np.where(parts.is_fee, _FEE, 0), *of_bounds])
        self.tier = np.concatenate([parts.tier, np.zeros(further, dtype=np.int64)])
        # the flat amount of a tier that the whole meter reached belongs to no combination, nor does the meter's bound
        self.of_meter = np.where(
            self.kind > _FEE, ~table.each_combination[self.price], (self.kind == _FEE) & table.across_meter[self.price]
        )
        self.has_dimensions = np.concatenate([~merged.is_merged, np.ones(further, dtype=bool)]) & ~self.of_meter
        behind = self.snapshot[len(parts.snapshot) :]
        self.basis = pa.concat_arrays([merged.basis, take(snapshots["basis"], behind)])
        zeros, ones = pa.repeat(ZERO, further), pa.repeat(ONE, further)
        self.usage = pa.concat_arrays([parts.usage, zeros])
        self.included = pa.concat_arrays([parts.included, zeros])
        self.quantity = pa.concat_arrays([parts.quantity, ones])
        self.unit_amount = pa.concat_arrays([unit_amount, *(own.amount for own in bounds)])
        self.exact = pa.concat_arrays([exact, *(pc.multiply(ONE, own.amount) for own in bounds)])
        self.days = pa.concat_arrays([days, pa.nulls(further, pa.int64())])
        self.full_days = pa.concat_arrays([full_days, pa.nulls(further, pa.int64())])
        self.minor = pa.concat_arrays([minor, *(own.amount_minor for own in bounds)])
        self._check_totals(merged)

    def columns(self) -> dict[str, Array]:
        """Every column of the lines, in their final order."""
        order = self._order()
        snapshot, price, kind = self.snapshot[order], self.price[order], self.kind[order]
        of_snapshot = {
            name: take(self.snapshots[name], snapshot) for name in ("invoice_id", "customer_id", "meter", "currency")
        }
        dimensions, description = self._texts(snapshot, price, kind, self.has_dimensions[order])
        days, full_days = take(self.days, order), take(self.full_days, order)
        return {
            **of_snapshot,
            "line_no": pa.array(_count_within(self.invoice[snapshot])),
            "dimensions": dimensions,
            "kind": take(pa.array(KINDS), kind),
            "description": _with_days(description, days, full_days, self._in_trial[snapshot] & (kind <= _FEE)),
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

    def _check_totals(self, merged: Merged) -> None:
        """Raise DoesNotFitError for the invoices whose lines add up to more than 64 bits of minor units."""
        group, examples = pair(self.invoice[self.snapshot], np.zeros_like(self.snapshot), 1)
        # halves of the range, added as floats, tell for nearly every month that there is nothing to look at
        if np.bincount(group, weights=self.minor.to_numpy(), minlength=1).max(initial=0) < AMOUNT_MINOR_MAX / 2:
            return
        total = sums(group, self.minor, SUM_MINOR)
        too_large = pc.greater(total, MINOR_MAX).to_numpy(zero_copy_only=False)
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
        merged = np.flatnonzero(~self.has_dimensions & (self.kind <= _FEE))
        amount_rank = np.zeros(len(self.kind), dtype=np.int64)
        amount_rank[merged] = ranks(take(self.unit_amount, merged))
        keys = (
            amount_rank,  # of a merged price the lines differ in nothing else
            self.kind,
            (of_plan + 2 * of_customer)[self.price],
            self.tier,
            np.where(self.has_dimensions, text_rank[self.snapshot], -1),
            np.where(self.kind > _FEE, 2, self.of_meter.astype(np.int64)),
            meter_rank[self.snapshot],
            position,
            self.invoice[self.snapshot],
        )
        return np.lexsort(keys)

    def _texts(
        self, snapshot: Codes, price: Codes, kind: Codes, has_dimensions: npt.NDArray[np.bool_]
    ) -> tuple[Array, Array]:
        """Dimensions and description; a merged line is of no dimensions."""
        code, distinct = encode(self.snapshots["dimensions"])
        dimensions = np.where(has_dimensions, code[snapshot], len(distinct))
        texts = pa.concat_arrays([distinct, pa.array(["{}"])])
        combination, examples = pair(price * len(KINDS) + kind, dimensions, len(texts))
        templates, meters = values(self.prices["description"]), values(self.prices["meter"])
        tiers, across = values(self.prices["tier_no"]), values(self.prices["scope"])
        known = values(texts)
        descriptions = []
        for row in examples.tolist():
            template, meter = templates[price[row]], meters[price[row]]
            pairs = dict(parse_dimensions(known[dimensions[row]]))
            if kind[row] > _FEE:
                descriptions.append(bound_description(KINDS[kind[row]], meter, pairs))
                continue
            is_fee = kind[row] == _FEE
            if template is None or (is_fee and across[price[row]] == "meter"):
                text = default_description(meter, pairs)
            else:
                text = fill(template, pairs)
            descriptions.append(fee_description(text, tiers[price[row]]) if is_fee else text)
        return take(texts, dimensions), take(pa.array(descriptions, pa.string()), combination)


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
