"""The platform that tests of corrections begin with; a module adds what its own tests are about."""

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Emulated
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.month_rows import load_book


@pytest.fixture
def platform(warehouse: Warehouse, stripe_side: Emulated) -> Platform:
    """Ann made 210 calls in October, which is 3.00 beside the fee of 10.00; nothing is billed yet."""
    load_book(warehouse)
    opened = Platform(warehouse, stripe_side)
    opened.customer("ann")
    opened.use("ann", 210)
    return opened
