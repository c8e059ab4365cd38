"""`to_minor` for a column of amounts. A module of its own: who only formats an amount does without Arrow."""

from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from billing_pipeline.core.money import AmountOutOfRangeError, exponent, rounding_step_minor

# pyarrow's classes take type arguments in its stubs only.
Array: TypeAlias = "pa.Array[Any]"
Column: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"


def to_minor_array(exact: Column, currency: str) -> Array:
    """`to_minor` for a column: decimal256 exact amounts in, int64 minor units out, nulls stay null.

    Raises AmountOutOfRangeError, without saying which row, if any amount does not fit.
    """
    if isinstance(exact, pa.ChunkedArray):
        exact = exact.combine_chunks()
    step = rounding_step_minor(currency)
    shift = exponent(currency)
    step_digits = len(str(step)) - 1
    try:
        rounded = pc.round(exact, ndigits=shift - step_digits, round_mode="half_towards_infinity")
        scaled = pc.multiply(rounded, pa.scalar(Decimal(10**shift), pa.decimal256(4, 0)))
        return pc.cast(scaled, pa.int64())
    except pa.ArrowInvalid as error:
        raise AmountOutOfRangeError(f"an amount in {currency} does not fit 64 bits of minor units") from error
