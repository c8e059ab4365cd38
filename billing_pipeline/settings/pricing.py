"""Which price book."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from billing_pipeline.settings.environment import percent, positive, text_or_none

SET_ASIDE_MAX_PERCENT = 10
SET_ASIDE_CUSTOMERS_FREE = 5
"""One customer's trouble, or a few customers', stops nobody else."""
ROUNDING_MAX_PERCENT = 5


@dataclass(frozen=True, slots=True)
class PricingSettings:
    """What prices a month."""

    price_book: Path | None
    """BILLING_PRICE_BOOK: the price book file that is meant; None: whatever is loaded."""
    price_factor_max: int
    """BILLING_PRICE_FACTOR_MAX: a price above this many times the one that it replaces fails the month's gate."""
    set_aside_customers_max_percent: int
    """BILLING_SET_ASIDE_CUSTOMERS_MAX_PERCENT: usage of more customers than that in quarantine stops the month."""
    set_aside_revenue_max_percent: int
    """BILLING_SET_ASIDE_REVENUE_MAX_PERCENT: quarantine worth more than that of the revenue stops the month."""
    set_aside_customers_free: int
    """So few customers never stop a month, unless one of the two shares above is set: then it holds as it stands."""
    rounding_max_percent: int
    """BILLING_ROUNDING_MAX_PERCENT: an invoice that rounding moved by more is warned of."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        book = text_or_none("BILLING_PRICE_BOOK")
        shares = ("BILLING_SET_ASIDE_CUSTOMERS_MAX_PERCENT", "BILLING_SET_ASIDE_REVENUE_MAX_PERCENT")
        return cls(
            Path(book) if book else None,
            positive("BILLING_PRICE_FACTOR_MAX", 10),
            percent(shares[0], SET_ASIDE_MAX_PERCENT),
            percent(shares[1], SET_ASIDE_MAX_PERCENT),
            0 if any(map(text_or_none, shares)) else SET_ASIDE_CUSTOMERS_FREE,
            percent("BILLING_ROUNDING_MAX_PERCENT", ROUNDING_MAX_PERCENT),
        )
