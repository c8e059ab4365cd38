"""Invoices that were issued, and a mail server."""

from collections.abc import Iterator

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Emulated
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.notices.mail_server import MailServer, running_mail_server
from billing_pipeline_tests.notices.platform_server import Platform, running_platform


@pytest.fixture
def charging(warehouse: Warehouse, stripe_side: Emulated) -> CorrectingWorld:
    return CorrectingWorld(warehouse, stripe_side)


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running_mail_server() as server:
        yield server


@pytest.fixture
def platform() -> Iterator[Platform]:
    with running_platform() as server:
        yield server
