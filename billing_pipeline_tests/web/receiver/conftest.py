"""A receiver on a real port before a real database."""

from collections.abc import Iterator

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.web.receiver.receiving import Receiving, receiving


@pytest.fixture
def receiver(warehouse: Warehouse) -> Iterator[Receiving]:
    """One that takes test events of our own account, signed with `SECRET`."""
    with receiving(warehouse) as running:
        yield running
