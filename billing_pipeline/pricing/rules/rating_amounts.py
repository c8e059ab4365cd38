"""Exact amounts as whole minor units of their currencies, in bulk; which of them are too large to be billed."""

from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np
import pyarrow as pa

from billing_pipeline.core.money import AMOUNT_MINOR_MAX, AmountOutOfRangeError, exponent, rounding_step_minor
from billing_pipeline.core.money_columns import Array, to_minor_array
from billing_pipeline.pricing.rules.rating_frames import Codes, encode, pc, take, values
from billing_pipeline.pricing.rules.rating_limits import AMOUNT_TOO_LARGE, DoesNotFitError
from billing_pipeline.pricing.rules.rating_merging import Merged

# Room for the sum of a million million amounts of the largest size.
SUM_MINOR = pa.decimal256(38, 0)
MINOR_MAX = pa.scalar(Decimal(AMOUNT_MINOR_MAX), SUM_MINOR)
ZERO_MINOR = pa.scalar(Decimal(0), SUM_MINOR)
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


def amounts_minor(exact: Array, currency: Array, merged: Merged) -> Array:
    """The amounts of lines, rounded once; `currency` is that of each snapshot.

    Raises DoesNotFitError for those that 64 bits do not hold.
    """
    code, currencies = encode(currency)
    code = code[merged.lines.snapshot]
    amounts = np.zeros(len(code), dtype=np.int64)
    for number, name in enumerate(values(currencies)):
        rows = np.flatnonzero(code == number)
        own = exact if len(rows) == len(code) else take(exact, rows)
        try:
            amounts[rows] = to_minor_array(own, name).to_numpy()
        except AmountOutOfRangeError:
            large = merged.snapshots(rows[_too_large(own, name)])
            raise DoesNotFitError(large, AMOUNT_TOO_LARGE) from None
    return pa.array(amounts)


def any_minor(amount: Decimal, currency: str) -> Decimal:
    """The amount in minor units as `to_minor` rounds it, also where that is more than can be billed."""
    step = rounding_step_minor(currency)
    steps = _EXACT.divide(amount.scaleb(exponent(currency), _EXACT), Decimal(step))
    return steps.quantize(Decimal(1), context=_EXACT) * step


def _too_large(exact: Array, currency: str) -> Codes:
    """The rows whose amounts do not fit, of which there are few."""
    large = pc.greater(pc.abs(exact), pa.scalar(Decimal(AMOUNT_MINOR_MAX // 2).scaleb(-exponent(currency)), exact.type))
    rows = np.flatnonzero(large.to_numpy(zero_copy_only=False))
    fits = [any_minor(exact[row].as_py(), currency) <= AMOUNT_MINOR_MAX for row in rows.tolist()]
    too_large: Codes = rows[~np.array(fits, dtype=bool)]
    return too_large
