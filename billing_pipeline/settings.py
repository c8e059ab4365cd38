"""The environment as one typed object. Every setting is described here and read nowhere else."""

import os
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from billing_pipeline.core.brakes import Limits
from billing_pipeline.core.dunning import RETRY_DAYS
from billing_pipeline.core.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: where sql/, dagster.yaml and the state folder are."""

EMULATOR_KEY = "sk_test_emulator"
LIMITS = Limits()


class SettingsError(UserError):
    """A setting that cannot work; the text names the variable and what was expected."""


@dataclass(frozen=True)
class Settings:
    """What the environment says. Defaults are the safe choice."""

    database_url: str | None
    """BILLING_DATABASE_URL: any PostgreSQL from 15 on; unset: embedded PostgreSQL under `state_dir`."""
    dagster_postgres_url: str | None
    """DAGSTER_POSTGRES_URL: Dagster's own storage; unset: database `dagster` on the same server."""
    state_dir: Path
    """BILLING_STATE_DIR: embedded PostgreSQL, the emulator's state and Dagster's logs; default `.billing`."""
    price_book: Path
    """BILLING_PRICE_BOOK: the price book file; default: the packaged Lyceum book."""
    stripe_key: str | None = field(repr=False)
    """STRIPE_SECRET_KEY; unset: the emulator."""
    stripe_api_base: str | None
    """STRIPE_API_BASE: where Stripe's API is; unset: api.stripe.com with a key, the emulator without."""
    invoice_cap_minor: int
    """BILLING_INVOICE_CAP_MINOR: an invoice above this many minor units of its currency fails the month's gate, and is
    not charged either."""
    run_cap_minor: int
    """BILLING_RUN_CAP_MINOR: charges of one currency that add up to more in one run are not made."""
    canary_refusals_max_percent: int
    """BILLING_CANARY_REFUSALS_MAX_PERCENT: more refusals among a month's first charges keep the rest back."""
    charge_age_max_days: int
    """BILLING_CHARGE_AGE_MAX_DAYS: a month that ended longer ago is charged only when a run's config says so."""
    retry_days: tuple[int, ...]
    """BILLING_RETRY_DAYS: days after a refusal on which the payment is tried again; `none`: never by itself."""
    stripe_calls_per_second: int
    """STRIPE_CALLS_PER_SECOND: over all endpoints. Stripe allows 100 in live mode, 25 in a sandbox."""
    stripe_calls_per_second_per_endpoint: int
    """STRIPE_CALLS_PER_SECOND_PER_ENDPOINT. Stripe allows 25."""
    bill_month_cron: str
    """BILL_MONTH_CRON, in UTC; default: the 1st at 12:00, when the month has ended in every time zone."""
    charge_month_cron: str
    """CHARGE_MONTH_CRON, in UTC; default: a day later, so that drafts can be looked at."""

    @property
    def limits(self) -> Limits:
        """What one charging run may do without a person."""
        return Limits(self.invoice_cap_minor, self.run_cap_minor, self.canary_refusals_max_percent)

    @property
    def uses_emulator(self) -> bool:
        """No key: charges go to the Stripe emulator."""
        return self.stripe_key is None or self.stripe_key == EMULATOR_KEY


def _positive(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{name}={text!r}: expected a whole number above 0")
    return int(text)


def _percent(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) > 100:
        raise SettingsError(f"{name}={text!r}: expected a whole number from 0 to 100")
    return int(text)


def _rising_days(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    text = os.environ.get(name) or ",".join(map(str, default))
    if text == "none":
        return ()
    parts = [part.strip() for part in text.split(",")]
    days = tuple(int(part) for part in parts if part.isdecimal())
    if len(days) != len(parts) or any(later <= before for before, later in pairwise((0, *days))):
        raise SettingsError(f"{name}={text!r}: expected rising whole days such as 1,3,7,14, or none")
    return days


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a value cannot work, for example a live key together with a local API base.
    """
    key = os.environ.get("STRIPE_SECRET_KEY") or None
    api_base = os.environ.get("STRIPE_API_BASE") or None
    if is_live_key(key) and api_base is not None and "//api.stripe.com" not in api_base:
        raise SettingsError("STRIPE_SECRET_KEY is a live key and STRIPE_API_BASE is not Stripe: refusing to start")
    book = os.environ.get("BILLING_PRICE_BOOK")
    default_book = Path(str(files("billing_pipeline.price_books") / "lyceum.yaml"))
    return Settings(
        database_url=os.environ.get("BILLING_DATABASE_URL") or None,
        dagster_postgres_url=os.environ.get("DAGSTER_POSTGRES_URL") or None,
        state_dir=Path(os.environ.get("BILLING_STATE_DIR") or ROOT / ".billing").resolve(),
        price_book=Path(book) if book else default_book,
        stripe_key=key,
        stripe_api_base=api_base,
        invoice_cap_minor=_positive("BILLING_INVOICE_CAP_MINOR", LIMITS.invoice_cap_minor),
        run_cap_minor=_positive("BILLING_RUN_CAP_MINOR", LIMITS.run_cap_minor),
        canary_refusals_max_percent=_percent("BILLING_CANARY_REFUSALS_MAX_PERCENT", LIMITS.canary_refusals_max_percent),
        charge_age_max_days=_positive("BILLING_CHARGE_AGE_MAX_DAYS", 62),
        retry_days=_rising_days("BILLING_RETRY_DAYS", RETRY_DAYS),
        stripe_calls_per_second=_positive("STRIPE_CALLS_PER_SECOND", 80),
        stripe_calls_per_second_per_endpoint=_positive("STRIPE_CALLS_PER_SECOND_PER_ENDPOINT", 20),
        bill_month_cron=os.environ.get("BILL_MONTH_CRON") or "0 12 1 * *",
        charge_month_cron=os.environ.get("CHARGE_MONTH_CRON") or "0 12 2 * *",
    )


def is_live_key(key: str | None) -> bool:
    """Whether a Stripe key moves real money."""
    return key is not None and key.startswith(("sk_live_", "rk_live_"))
