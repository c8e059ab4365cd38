"""`billing migrate`, `sql` and `env`: the database itself."""

import os
import subprocess
import sys

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.settings import ROOT, load_settings


@click.command()
def migrate() -> None:
    """Bring the database up to date with sql/migrations and sql/views."""
    from billing_pipeline.adapters.migrations import migrate as apply
    from billing_pipeline.adapters.warehouse import open_warehouse

    applied = apply(open_warehouse(load_settings()))
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{len(applied)} migration(s) applied; the database is up to date")


@click.command()
@click.option("-c", "query", help="Run this statement and exit.")
@click.option("--csv", is_flag=True, help="Print CSV.")
def sql(query: str | None, csv: bool) -> None:
    """Open psql on the configured database."""
    from billing_pipeline.adapters.psql import psql_command

    warehouse = open_database()
    command, environment = psql_command(warehouse)
    if query is not None:
        command += ["--command", query]
    if csv:
        command += ["--csv"]
    # not exec: this process holds the handle that keeps an embedded server running
    sys.exit(subprocess.run(command, env={**os.environ, **environment}, check=False).returncode)


@click.command()
def env() -> None:
    """Print the variables that plain Dagster commands need, and leave an embedded server running.

    Use it as: eval "$(billing env)"; dagster dev
    """
    import shlex

    from billing_pipeline.adapters.warehouse import leave_running

    warehouse = open_database()
    leave_running(warehouse)
    values = {
        "DAGSTER_HOME": str(ROOT),
        "DAGSTER_POSTGRES_URL": warehouse.dagster_url.render_as_string(hide_password=False),
    }
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")
