"""The environment as one typed object. Every setting is described here and read nowhere else."""

import base64
import binascii
import os
import re
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
SANDBOX_EVENT_KEYS = "sandbox:" + base64.b64encode(b"the emulator's events, no secret").decode()
"""Stands in for BILLING_EVENT_KEYS where there is no Stripe account; it protects nothing."""
TOLERANCE_MAX_S = 300
SECRETS_MAX = 3
PORT_MAX = 65_535
SECRET_MIN = 24
"""Characters; Stripe's have 38."""
LIMITS = Limits()


class SettingsError(UserError):
    """A setting that cannot work; the text names the variable and what was expected."""


@dataclass(frozen=True, slots=True)
class EventKey:
    """A key for the bodies of Stripe's events, and the name under which it is stored beside what it encrypted."""

    key_id: str
    key: bytes = field(repr=False)
    """32 bytes."""


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
    price_factor_max: int
    """BILLING_PRICE_FACTOR_MAX: a price above this many times the one that it replaces fails the month's gate."""
    run_cap_minor: int
    """BILLING_RUN_CAP_MINOR: charges of one currency that add up to more in one run are not made."""
    canary_refusals_max_percent: int
    """BILLING_CANARY_REFUSALS_MAX_PERCENT: more refusals among a month's first charges keep the rest back."""
    charge_age_max_days: int
    """BILLING_CHARGE_AGE_MAX_DAYS: a month that ended longer ago is charged only when a run's config says so."""
    retry_days: tuple[int, ...]
    """BILLING_RETRY_DAYS: days after a refusal on which the payment is tried again; `none`: never by itself."""
    drift_material_minor: int
    """BILLING_DRIFT_MATERIAL_MINOR: a customer's month that differs by this many minor units is warned of."""
    stripe_calls_per_second: int
    """STRIPE_CALLS_PER_SECOND: over all endpoints. Stripe allows 100 in live mode, 25 in a sandbox."""
    stripe_calls_per_second_per_endpoint: int
    """STRIPE_CALLS_PER_SECOND_PER_ENDPOINT. Stripe allows 25."""
    require_approval: bool | None
    """BILLING_REQUIRE_APPROVAL: yes or no: whether a month is charged only with an approval by somebody else than who
    started the run. Written to the database by the next charging run; unset: as it is there, at first no."""
    bill_month_cron: str
    """BILL_MONTH_CRON, in UTC; default: the 1st at 12:00, when the month has ended in every time zone."""
    charge_month_cron: str
    """CHARGE_MONTH_CRON, in UTC; default: a day later, so that drafts can be looked at."""

    stripe_events_interval_s: int
    """STRIPE_EVENTS_INTERVAL_S: how often the sensor looks for events of Stripe's that are due; default 10."""
    stripe_events_lease_s: int
    """STRIPE_EVENTS_LEASE_S: how long a run that processes events may take, and how long what one claimed is kept from
    others if it dies; default 300."""
    sweep_cron: str
    """SWEEP_CRON, in UTC: when Stripe's own list is searched for events that never arrived; default: every 15 min."""
    reconcile_cron: str
    """RECONCILE_CRON, in UTC: when our books are compared with Stripe's; default: daily at 06:30."""

    event_keys: tuple[EventKey, ...]
    """BILLING_EVENT_KEYS: `id:base64,…`, 32 bytes each; the first writes, all read. Unset: a fixed one with the
    emulator, none with a key of Stripe's."""

    receiver_port: int
    """BILLING_RECEIVER_PORT, where the webhook receiver listens; default 12200."""

    @property
    def gate_parameters(self) -> dict[str, int]:
        """Values for the braces in sql/checks."""
        return {"invoice_cap_minor": self.invoice_cap_minor, "price_factor_max": self.price_factor_max}

    @property
    def limits(self) -> Limits:
        """What one charging run may do without a person."""
        return Limits(self.invoice_cap_minor, self.run_cap_minor, self.canary_refusals_max_percent)

    @property
    def uses_emulator(self) -> bool:
        """No key: charges go to the Stripe emulator."""
        return self.stripe_key is None or self.stripe_key == EMULATOR_KEY

    @property
    def has_stripe(self) -> bool:
        """Whether there is somebody to ask: a Stripe account, or an emulator whose address is known."""
        return not self.uses_emulator or self.stripe_api_base is not None


def _positive(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{name}={text!r}: expected a whole number above 0")
    return int(text)


def _yes_or_no(name: str) -> bool | None:
    text = (os.environ.get(name) or "").lower()
    if text not in ("", "yes", "no", "true", "false", "1", "0"):
        raise SettingsError(f"{name}={text!r}: expected yes or no")
    return text in ("yes", "true", "1") if text else None


def _event_keys(*, sandbox: bool) -> tuple[EventKey, ...]:
    value = os.environ.get("BILLING_EVENT_KEYS") or (SANDBOX_EVENT_KEYS if sandbox else "")
    keys: list[EventKey] = []
    for position, item in enumerate(value.split(",") if value else [], start=1):
        # the value is a secret: a mistake is named by its position
        key_id, _, encoded = item.strip().partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", key_id) or len(key) != 32:
            raise SettingsError(f"BILLING_EVENT_KEYS, key {position}: expected id:base64 of 32 bytes")
        if any(other.key_id == key_id for other in keys):
            raise SettingsError(f"BILLING_EVENT_KEYS, key {position}: the id is there twice")
        keys.append(EventKey(key_id, key))
    return tuple(keys)


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
        price_factor_max=_positive("BILLING_PRICE_FACTOR_MAX", 10),
        invoice_cap_minor=_positive("BILLING_INVOICE_CAP_MINOR", LIMITS.invoice_cap_minor),
        run_cap_minor=_positive("BILLING_RUN_CAP_MINOR", LIMITS.run_cap_minor),
        canary_refusals_max_percent=_percent("BILLING_CANARY_REFUSALS_MAX_PERCENT", LIMITS.canary_refusals_max_percent),
        charge_age_max_days=_positive("BILLING_CHARGE_AGE_MAX_DAYS", 62),
        retry_days=_rising_days("BILLING_RETRY_DAYS", RETRY_DAYS),
        drift_material_minor=_positive("BILLING_DRIFT_MATERIAL_MINOR", 100),
        stripe_calls_per_second=_positive("STRIPE_CALLS_PER_SECOND", 80),
        stripe_calls_per_second_per_endpoint=_positive("STRIPE_CALLS_PER_SECOND_PER_ENDPOINT", 20),
        require_approval=_yes_or_no("BILLING_REQUIRE_APPROVAL"),
        bill_month_cron=os.environ.get("BILL_MONTH_CRON") or "0 12 1 * *",
        charge_month_cron=os.environ.get("CHARGE_MONTH_CRON") or "0 12 2 * *",
        stripe_events_interval_s=_positive("STRIPE_EVENTS_INTERVAL_S", 10),
        stripe_events_lease_s=_positive("STRIPE_EVENTS_LEASE_S", 300),
        sweep_cron=os.environ.get("SWEEP_CRON") or "*/15 * * * *",
        reconcile_cron=os.environ.get("RECONCILE_CRON") or "30 6 * * *",
        event_keys=_event_keys(sandbox=key in (None, EMULATOR_KEY)),
        receiver_port=_receiver_port(),
    )


def is_live_key(key: str | None) -> bool:
    """Whether a Stripe key moves real money."""
    return key is not None and key.startswith(("sk_live_", "rk_live_"))


@dataclass(frozen=True)
class ReceiverSettings:
    """What the environment says to the webhook receiver, which needs neither Stripe's key nor a price book."""

    database_url: str | None
    """BILLING_RECEIVER_DATABASE_URL, a login that may only store events; unset: BILLING_DATABASE_URL."""
    secrets: tuple[str, ...] = field(repr=False)
    """STRIPE_WEBHOOK_SECRET: the endpoint's signing secret (whsec_…); up to three, comma-separated, while rotating."""
    tolerance_s: int
    """STRIPE_WEBHOOK_TOLERANCE_S: how far a signature's timestamp may be from the clock, both ways; 1 to 300."""
    livemode: bool
    """STRIPE_WEBHOOK_LIVEMODE: true takes live events only, false test events only; unset: as STRIPE_SECRET_KEY is."""
    account: str | None
    """STRIPE_WEBHOOK_ACCOUNT: the connected account (acct_…) whose events are ours; unset: the account's own only."""
    event_keys: tuple[EventKey, ...]
    """BILLING_EVENT_KEYS, as in Settings; without it nothing starts, but with the emulator's key."""
    port: int
    """As Settings.receiver_port."""


def load_receiver_settings() -> ReceiverSettings:
    """Read the environment for the receiver.

    Raises:
        SettingsError: something is missing or too weak to rely on; the text names the variable.
    """
    key = os.environ.get("STRIPE_SECRET_KEY") or None
    keys = _event_keys(sandbox=key == EMULATOR_KEY)
    if not keys:
        raise SettingsError("BILLING_EVENT_KEYS is not set: expected id:base64 of 32 bytes")
    tolerance_s = _positive("STRIPE_WEBHOOK_TOLERANCE_S", TOLERANCE_MAX_S)
    if tolerance_s > TOLERANCE_MAX_S:
        raise SettingsError(f"STRIPE_WEBHOOK_TOLERANCE_S={tolerance_s}: expected at most {TOLERANCE_MAX_S}")
    livemode = os.environ.get("STRIPE_WEBHOOK_LIVEMODE") or str(is_live_key(key)).lower()
    if livemode not in ("true", "false"):
        raise SettingsError(f"STRIPE_WEBHOOK_LIVEMODE={livemode!r}: expected true or false")
    account = os.environ.get("STRIPE_WEBHOOK_ACCOUNT") or None
    if account is not None and not re.fullmatch(r"acct_[A-Za-z0-9]+", account):
        raise SettingsError(f"STRIPE_WEBHOOK_ACCOUNT={account!r}: expected acct_…")
    return ReceiverSettings(
        database_url=os.environ.get("BILLING_RECEIVER_DATABASE_URL") or os.environ.get("BILLING_DATABASE_URL") or None,
        secrets=_webhook_secrets(),
        tolerance_s=tolerance_s,
        livemode=livemode == "true",
        account=account,
        event_keys=keys,
        port=_receiver_port(),
    )


def _receiver_port() -> int:
    port = _positive("BILLING_RECEIVER_PORT", 12_200)
    if port > PORT_MAX:
        raise SettingsError(f"BILLING_RECEIVER_PORT={port}: expected at most {PORT_MAX}")
    return port


def _webhook_secrets() -> tuple[str, ...]:
    secrets = tuple(secret.strip() for secret in os.environ.get("STRIPE_WEBHOOK_SECRET", "").split(","))
    if len(secrets) > SECRETS_MAX or len(set(secrets)) < len(secrets):
        raise SettingsError(f"STRIPE_WEBHOOK_SECRET: expected one to {SECRETS_MAX} different secrets")
    for position, secret in enumerate(secrets, start=1):
        # the value is a secret: a mistake is named by its position
        if len(secret) < SECRET_MIN or not secret.isascii() or not secret.isprintable():
            raise SettingsError(
                f"STRIPE_WEBHOOK_SECRET, secret {position}: expected whsec_… of at least {SECRET_MIN} characters"
            )
    return secrets
