"""`make kills`: the last line of stdout is one JSON object with the figures; exit status 1 if a promise did not hold."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import make_url

from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.databases import open_database, running_server
from billing_pipeline_tests.notices.kills.campaign import UNAVOIDABLE, campaign
from billing_pipeline_tests.notices.kills.mutants import MUTANTS


@click.command()
@click.option("--kills", default=320, show_default=True, help="How many processes are killed.")
@click.option("--only-unavoidable", is_flag=True, help="Only where a double cannot be avoided.")
@click.option("--mutant", type=click.Choice(MUTANTS), help="Break a defence, to see it noticed.")
@click.option("--database", help="URL of one that is migrated and empty; else one on a server that is started for it.")
def main(kills: int, only_unavoidable: bool, mutant: str | None, database: str | None) -> None:
    """SIGKILL at every boundary of outbox, SMTP dialogue, webhook delivery, mail server and platform."""
    began = time.monotonic()
    with _opened(database) as warehouse, tempfile.TemporaryDirectory() as folder:
        only = UNAVOIDABLE if only_unavoidable else ()
        mutate = MUTANTS[mutant] if mutant else lambda: None
        found = campaign(warehouse, Path(folder), kills, click.echo, only, mutate)
    for name, count in sorted(found.kills.items()):
        click.echo(f"{count:4} kills, {found.doubles[name]:3} doubles  {name}")
    for wrong in [*found.lost, *found.wrong]:
        click.echo(wrong, err=True)
    click.echo(json.dumps({**found.figures(), "seconds": round(time.monotonic() - began)}))
    sys.exit(1 if found.lost or found.wrong else 0)


@contextmanager
def _opened(database: str | None) -> Iterator[Warehouse]:
    if database is not None:
        url = make_url(database)
        warehouse = Warehouse(open_engine(url), url)
        yield warehouse
        warehouse.engine.dispose()
        return
    with running_server() as server:
        warehouse = open_database(server, "kills")
        migrate(warehouse)
        yield warehouse
        warehouse.engine.dispose()


if __name__ == "__main__":
    main()
