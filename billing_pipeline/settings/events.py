"""How Stripe's events are stored and processed."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Self

from billing_pipeline.settings.environment import SettingsError, positive, text_or_none
from billing_pipeline.settings.stripe import EMULATOR_KEY

SANDBOX_EVENT_KEYS = "sandbox:" + base64.b64encode(b"the emulator's events, no secret").decode()
"""Stands in for BILLING_EVENT_KEYS where there is no Stripe account; it protects nothing."""


@dataclass(frozen=True, slots=True)
class EventKey:
    """A key for the bodies of Stripe's events, and the name under which it is stored beside what it encrypted."""

    key_id: str
    key: bytes = field(repr=False)
    """32 bytes."""


@dataclass(frozen=True, slots=True)
class EventSettings:
    """What the sensor, the job and the commands need."""

    keys: tuple[EventKey, ...]
    """BILLING_EVENT_KEYS: `id:base64,…`, 32 bytes each; the first writes, all read. Unset: a fixed one with the
    emulator, none with a key of Stripe's."""
    interval_s: int
    """STRIPE_EVENTS_INTERVAL_S: how often the sensor looks for events of Stripe's that are due; default 10."""
    lease_s: int
    """STRIPE_EVENTS_LEASE_S: how long a run that processes events may take, and how long what one claimed is kept from
    others if it dies; default 300."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        return cls(
            event_keys(sandbox=text_or_none("STRIPE_SECRET_KEY") in (None, EMULATOR_KEY)),
            positive("STRIPE_EVENTS_INTERVAL_S", 10),
            positive("STRIPE_EVENTS_LEASE_S", 300),
        )


def event_keys(*, sandbox: bool) -> tuple[EventKey, ...]:
    """The keys of BILLING_EVENT_KEYS; with `sandbox` a fixed one stands in for them.

    Raises:
        SettingsError: one cannot work; the value is a secret, so the mistake is named by its position.
    """
    value = text_or_none("BILLING_EVENT_KEYS") or (SANDBOX_EVENT_KEYS if sandbox else "")
    keys: list[EventKey] = []
    for position, item in enumerate(value.split(",") if value else [], start=1):
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
