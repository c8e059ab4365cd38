"""Which price book."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

from billing_pipeline.settings.environment import positive, text_or_none


@dataclass(frozen=True, slots=True)
class PricingSettings:
    """What prices a month."""

    price_book: Path
    """BILLING_PRICE_BOOK: the price book file; default: the packaged Lyceum book."""
    price_factor_max: int
    """BILLING_PRICE_FACTOR_MAX: a price above this many times the one that it replaces fails the month's gate."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        book = text_or_none("BILLING_PRICE_BOOK")
        packaged = Path(str(files("billing_pipeline.pricing.price_books") / "lyceum.yaml"))
        return cls(Path(book) if book else packaged, positive("BILLING_PRICE_FACTOR_MAX", 10))
