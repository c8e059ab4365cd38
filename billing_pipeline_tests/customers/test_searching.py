"""Customers are found by any part of id, name or address, in any case, whether the index or a scan finds them."""

import pytest

from billing_pipeline.customers.reading import list_customers
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import add_customer, execute


@pytest.fixture
def some(warehouse: Warehouse) -> Warehouse:
    add_customer(warehouse, "ann-1", name="Größe & Söhne")
    add_customer(warehouse, "bob_2", name="100% Cotton")
    add_customer(warehouse, "42", name="İstanbul Ltd")
    return warehouse


@pytest.mark.parametrize("by_index", [False, True])
@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("SÖHNE", ["ann-1"]),
        ("röß", ["ann-1"]),
        ("n-1 g", ["ann-1"]),
        ("0% c", ["bob_2"]),
        ("b_2", ["bob_2"]),
        ("b%2", []),
        ("&", ["ann-1"]),
        ("42", ["42"]),
        ("stanbul", ["42"]),
        ("cottons", []),
        ("@example", ["42", "ann-1", "bob_2"]),
    ],
)
def test_any_part_is_found(some: Warehouse, search: str, found: list[str], *, by_index: bool) -> None:
    if by_index:
        for scan in ("enable_seqscan", "enable_indexscan"):
            execute(some, f"ALTER DATABASE {some.engine.url.database} SET {scan} = off")
        some.engine.dispose()
    assert [row["customer_id"] for row in list_customers(some, search=search)] == found
