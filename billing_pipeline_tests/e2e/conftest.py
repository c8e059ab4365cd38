"""A charged month and its events, in the environment that the commands read."""

import base64
from collections.abc import Iterator

import pytest

from billing_pipeline.postgres import engine as engine_module
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import EMULATOR_KEY, Settings
from billing_pipeline_tests.charging.world import running_stripe
from billing_pipeline_tests.events.world import EVENT_KEY, EventWorld
from billing_pipeline_tests.web.receiver.receiving import database_url


@pytest.fixture
def world(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventWorld]:
    """The commands work on this database and with this emulator."""
    opened: list[Warehouse] = []
    open_one = engine_module.open_warehouse

    def opening(settings: Settings) -> Warehouse:
        opened.append(open_one(settings))
        return opened[-1]

    monkeypatch.setattr(engine_module, "open_warehouse", opening)
    monkeypatch.setenv("BILLING_DATABASE_URL", database_url(warehouse))
    monkeypatch.setenv("BILLING_EVENT_KEYS", f"{EVENT_KEY.key_id}:{base64.b64encode(EVENT_KEY.key).decode()}")
    monkeypatch.setenv("STRIPE_SECRET_KEY", EMULATOR_KEY)
    with running_stripe() as emulated:
        monkeypatch.setenv("STRIPE_API_BASE", emulated.base_url)
        yield EventWorld(warehouse, emulated)
    for one in opened:
        one.engine.dispose()
