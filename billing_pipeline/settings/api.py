"""What the API needs beside the settings that the commands read."""

from dataclasses import dataclass
from typing import Self

from billing_pipeline.settings.environment import port, positive


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the API listens, and how much it takes."""

    port: int
    """BILLING_API_PORT, where it listens; default 12300."""
    requests_per_minute: int
    """BILLING_API_REQUESTS_PER_MINUTE: how many a token may send on average; default 1200."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: a value cannot work.
        """
        return cls(port("BILLING_API_PORT", 12_300), positive("BILLING_API_REQUESTS_PER_MINUTE", 1200))
