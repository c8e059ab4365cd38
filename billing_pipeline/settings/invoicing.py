"""What there is to bill."""

from dataclasses import dataclass
from datetime import date
from typing import Self

from billing_pipeline.settings.environment import month_or_none


@dataclass(frozen=True, slots=True)
class InvoicingSettings:
    """Which months there are."""

    first_month: date | None
    """BILLING_FIRST_MONTH: the first month that may be billed; unset: that of the first usage or billed month."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        return cls(month_or_none("BILLING_FIRST_MONTH"))
