"""The environment as plain values, a module a room. Every setting is described here and read nowhere else."""

import os
from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.settings.alerts import AlertSettings
from billing_pipeline.settings.api import ApiSettings
from billing_pipeline.settings.charging import ChargingSettings
from billing_pipeline.settings.comparison import ComparisonSettings
from billing_pipeline.settings.environment import PROJECT_FILES, ROOT, SettingsError
from billing_pipeline.settings.events import SANDBOX_EVENT_KEYS, EventKey, EventSettings
from billing_pipeline.settings.invoicing import InvoicingSettings
from billing_pipeline.settings.notices import NoticeSettings
from billing_pipeline.settings.pages import PagesSettings
from billing_pipeline.settings.postgres import PostgresSettings
from billing_pipeline.settings.pricing import PricingSettings
from billing_pipeline.settings.receiver import ReceiverSettings, load_receiver_settings, receiver_port
from billing_pipeline.settings.schedules import ScheduleSettings
from billing_pipeline.settings.stripe import EMULATOR_KEY, StripeSettings, is_live_key

__all__ = [
    "EMULATOR_KEY",
    "PROJECT_FILES",
    "ROOT",
    "SANDBOX_EVENT_KEYS",
    "EventKey",
    "ReceiverSettings",
    "Settings",
    "SettingsError",
    "is_live_key",
    "load_receiver_settings",
    "load_settings",
]


@dataclass(frozen=True)
class Settings:
    """What the environment says, a part a room. Defaults are the safe choice."""

    state_dir: Path
    """BILLING_STATE_DIR: embedded PostgreSQL, the emulator's state and Dagster's logs; default `.billing`."""
    postgres: PostgresSettings
    stripe: StripeSettings
    pricing: PricingSettings
    invoicing: InvoicingSettings
    charging: ChargingSettings
    events: EventSettings
    notices: NoticeSettings
    alerts: AlertSettings
    comparison: ComparisonSettings
    schedules: ScheduleSettings
    api: ApiSettings
    pages: PagesSettings
    receiver_port: int
    """BILLING_RECEIVER_PORT, where the webhook receiver listens; default 12200."""


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a value cannot work, for example a live key together with a local API base.
    """
    return Settings(
        state_dir=Path(os.environ.get("BILLING_STATE_DIR") or ROOT / ".billing").resolve(),
        postgres=PostgresSettings.load(),
        stripe=StripeSettings.load(),
        pricing=PricingSettings.load(),
        invoicing=InvoicingSettings.load(),
        charging=ChargingSettings.load(),
        events=EventSettings.load(),
        notices=NoticeSettings.load(),
        alerts=AlertSettings.load(),
        comparison=ComparisonSettings.load(),
        schedules=ScheduleSettings.load(),
        api=ApiSettings.load(),
        pages=PagesSettings.load(),
        receiver_port=receiver_port(),
    )
