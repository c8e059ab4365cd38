"""Which differences are worth a word."""

from dataclasses import dataclass
from typing import Self

from billing_pipeline.settings.environment import positive


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """What a comparison of a billed month with today warns of."""

    drift_material_minor: int
    """BILLING_DRIFT_MATERIAL_MINOR: a customer's month that differs by this many minor units is warned of."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        return cls(positive("BILLING_DRIFT_MATERIAL_MINOR", 100))
