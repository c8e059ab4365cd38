"""The API before a real database."""

from collections.abc import Iterator

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.web.api.serving import Serving, serving


@pytest.fixture
def api(warehouse: Warehouse) -> Iterator[Serving]:
    """One with an empty, migrated database."""
    with serving(warehouse) as running:
        yield running
