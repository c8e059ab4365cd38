"""The API of a month that was charged."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import Bill, Emulated
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.web.api.serving import Serving, serving


@pytest.fixture
def month(warehouse: Warehouse, stripe_side: Emulated) -> CorrectingWorld:
    """October: ann has paid 50.00, bob's card was declined."""
    world = CorrectingWorld(warehouse, stripe_side)
    world.charged(Bill("ann", (4000, 1000), meters=("seats", "users")), Bill("bob", card="pm_card_chargeCustomerFail"))
    return world


@pytest.fixture
def api(month: CorrectingWorld) -> Iterator[Serving]:
    """The month's API."""

    @contextmanager
    def stripe() -> Iterator[StripeGateway]:
        yield month.gateway()

    with serving(month.warehouse, stripe=stripe) as running:
        yield running
