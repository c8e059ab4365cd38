"""What the webhook receiver needs, which is neither Stripe's key nor a price book."""

import os
import re
from dataclasses import dataclass, field

from billing_pipeline.settings.environment import SettingsError, port, positive, text_or_none
from billing_pipeline.settings.events import EventKey, event_keys
from billing_pipeline.settings.stripe import EMULATOR_KEY, is_live_key

TOLERANCE_MAX_S = 300
SECRETS_MAX = 3
SECRET_MIN = 24
"""Characters; Stripe's have 38."""


@dataclass(frozen=True)
class ReceiverSettings:
    """What the environment says to the webhook receiver."""

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
    """BILLING_EVENT_KEYS, as in EventSettings; without it nothing starts, but with the emulator's key."""
    port: int
    """As Settings.receiver_port."""


def load_receiver_settings() -> ReceiverSettings:
    """Read the environment for the receiver.

    Raises:
        SettingsError: something is missing or too weak to rely on; the text names the variable.
    """
    key = text_or_none("STRIPE_SECRET_KEY")
    keys = event_keys(sandbox=key == EMULATOR_KEY)
    if not keys:
        raise SettingsError("BILLING_EVENT_KEYS is not set: expected id:base64 of 32 bytes")
    tolerance_s = positive("STRIPE_WEBHOOK_TOLERANCE_S", TOLERANCE_MAX_S)
    if tolerance_s > TOLERANCE_MAX_S:
        raise SettingsError(f"STRIPE_WEBHOOK_TOLERANCE_S={tolerance_s}: expected at most {TOLERANCE_MAX_S}")
    livemode = text_or_none("STRIPE_WEBHOOK_LIVEMODE") or str(is_live_key(key)).lower()
    if livemode not in ("true", "false"):
        raise SettingsError(f"STRIPE_WEBHOOK_LIVEMODE={livemode!r}: expected true or false")
    account = text_or_none("STRIPE_WEBHOOK_ACCOUNT")
    if account is not None and not re.fullmatch(r"acct_[A-Za-z0-9]+", account):
        raise SettingsError(f"STRIPE_WEBHOOK_ACCOUNT={account!r}: expected acct_…")
    return ReceiverSettings(
        database_url=text_or_none("BILLING_RECEIVER_DATABASE_URL") or text_or_none("BILLING_DATABASE_URL"),
        secrets=_webhook_secrets(),
        tolerance_s=tolerance_s,
        livemode=livemode == "true",
        account=account,
        event_keys=keys,
        port=receiver_port(),
    )


def receiver_port() -> int:
    """BILLING_RECEIVER_PORT, where the webhook receiver listens; default 12200."""
    return port("BILLING_RECEIVER_PORT", 12_200)


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
