"""A charged month and its events, in the environment that the commands read."""

import base64
from collections.abc import Iterator

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import EMULATOR_KEY
from billing_pipeline_tests.charging.world import running_stripe
from billing_pipeline_tests.databases import closing_what_commands_open
from billing_pipeline_tests.events.world import EVENT_KEY, EventWorld
from billing_pipeline_tests.web.receiver.receiving import database_url


@pytest.fixture
def world(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventWorld]:
    """The commands work on this database and with this emulator."""
    monkeypatch.setenv("BILLING_DATABASE_URL", database_url(warehouse))
    monkeypatch.setenv("BILLING_EVENT_KEYS", f"{EVENT_KEY.key_id}:{base64.b64encode(EVENT_KEY.key).decode()}")
    monkeypatch.setenv("STRIPE_SECRET_KEY", EMULATOR_KEY)
    with running_stripe() as emulated, closing_what_commands_open(monkeypatch):
        monkeypatch.setenv("STRIPE_API_BASE", emulated.base_url)
        yield EventWorld(warehouse, emulated)
