"""Which Stripe, and how hard it may be asked."""

from dataclasses import dataclass, field
from typing import Self

from billing_pipeline.settings.environment import SettingsError, positive, text_or_none

EMULATOR_KEY = "sk_test_emulator"
CALLS_PER_SECOND = 80
CALLS_PER_SECOND_PER_ENDPOINT = 20


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """Where Stripe is and what it allows."""

    key: str | None = field(repr=False)
    """STRIPE_SECRET_KEY; unset: the emulator."""
    api_base: str | None
    """STRIPE_API_BASE: where Stripe's API is; unset: api.stripe.com with a key, the emulator without."""
    calls_per_second: int
    """STRIPE_CALLS_PER_SECOND: over all endpoints. Stripe allows 100 in live mode, 25 in a sandbox."""
    calls_per_second_per_endpoint: int
    """STRIPE_CALLS_PER_SECOND_PER_ENDPOINT. Stripe allows 25."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: a live key together with another API than Stripe's, or a number that is none.
        """
        key, api_base = text_or_none("STRIPE_SECRET_KEY"), text_or_none("STRIPE_API_BASE")
        if is_live_key(key) and api_base is not None and "//api.stripe.com" not in api_base:
            raise SettingsError("STRIPE_SECRET_KEY is a live key and STRIPE_API_BASE is not Stripe: refusing to start")
        return cls(
            key,
            api_base,
            positive("STRIPE_CALLS_PER_SECOND", CALLS_PER_SECOND),
            positive("STRIPE_CALLS_PER_SECOND_PER_ENDPOINT", CALLS_PER_SECOND_PER_ENDPOINT),
        )

    @property
    def uses_emulator(self) -> bool:
        """No key: charges go to the Stripe emulator."""
        return self.key is None or self.key == EMULATOR_KEY

    @property
    def is_configured(self) -> bool:
        """Whether there is somebody to ask: a Stripe account, or an emulator whose address is known."""
        return not self.uses_emulator or self.api_base is not None


def is_live_key(key: str | None) -> bool:
    """Whether a Stripe key moves real money."""
    return key is not None and key.startswith(("sk_live_", "rk_live_"))
