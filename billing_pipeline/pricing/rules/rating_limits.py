"""The largest and smallest of what can be billed, and the error for what is beyond."""

from decimal import Decimal

import pyarrow as pa

from billing_pipeline.pricing.rules.rating_frames import DECIMAL, Codes

ZERO = pa.scalar(Decimal(0), DECIMAL)
ONE = pa.scalar(Decimal(1), DECIMAL)
# Above every quantity that fits: stands for an open-ended tier's missing bound.
LARGEST = pa.scalar(Decimal("9" * 18 + "." + "9" * 12), DECIMAL)

AMOUNT_TOO_LARGE = "an amount larger than can be billed"
QUANTITY_TOO_LARGE = "a quantity larger than can be billed"
TOTAL_TOO_LARGE = "an invoice total larger than can be billed"
TOO_MANY_PACKAGES = "more packages than can be billed"


class DoesNotFitError(ValueError):
    """What some snapshots come to is too large to be billed; `snapshots` are their rows, `reason` says what it is."""

    def __init__(self, snapshots: Codes, reason: str) -> None:
        self.snapshots = snapshots
        self.reason = reason
        super().__init__(reason)
