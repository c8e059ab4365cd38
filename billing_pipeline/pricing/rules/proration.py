"""The share of a full period's amount that a short period costs: by days, exactly.

Here: the fraction and its words. Not here: which periods are short (billing_periods.full_days), and which prices say
that they are not prorated.
"""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import pyarrow as pa

from billing_pipeline.core.money_columns import Array

_PLACES = Decimal(1).scaleb(-24)
_EXACT = Context(prec=120, rounding=ROUND_HALF_UP)


def prorated(amount: Decimal, days: int, full_days: int) -> Decimal:
    """`amount * days / full_days` to 24 places, half away from zero.

    A currency's step is more than 10^20 times as coarse, so rounding to it afterwards gives what rounding the fraction
    itself does: a fraction of days differs from half a step by more than that, or not at all.
    """
    return _EXACT.divide(_EXACT.multiply(amount, Decimal(days)), Decimal(full_days)).quantize(_PLACES, context=_EXACT)


def prorated_column(amounts: Array, days: Array, full_days: Array) -> Array:
    """The amounts, those with days as their share; without any day given, the very same array."""
    if days.null_count == len(days):
        return amounts
    known: dict[tuple[Decimal, int, int], Decimal] = {}
    shares: list[Decimal] = []
    rows: Any = zip(amounts.to_pylist(), days.to_pylist(), full_days.to_pylist(), strict=True)
    for amount, of, full in rows:
        if of is None:
            shares.append(amount)
            continue
        key = (amount, of, full)
        if key not in known:
            known[key] = prorated(*key)
        shares.append(known[key])
    column: Array = pa.array(shares, amounts.type)
    return column


def short_text(days: int | None, full_days: int | None, is_trial: bool = False) -> str:
    """What a line says behind its text where it does not cost the whole; nothing where it does."""
    said = ["trial"] if is_trial else []
    if days is not None:
        said.append(f"{days} of {full_days} days")
    return f" ({', '.join(said)})" if said else ""
