"""What the tests of several builds begin with."""

import pytest

from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline_tests.adapters.builds.month_rows import add_customer, load_book


@pytest.fixture
def billed(warehouse: Warehouse) -> Warehouse:
    """A database with the book and customer `ann`."""
    load_book(warehouse)
    add_customer(warehouse, "ann")
    return warehouse
