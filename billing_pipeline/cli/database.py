"""`billing migrate`, `sql` and `env`: the database itself."""

import os
import subprocess
import sys

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.settings import SettingsError, load_settings
from billing_pipeline.settings.dagster_home import dagster_home


@click.command()
@click.option("--roles", is_flag=True, help="Make the roles of docs/security.md and let them own the database.")
def migrate(roles: bool) -> None:
    """Bring the database up to date with sql/migrations, sql/functions and sql/views."""
    from billing_pipeline.postgres.engine import open_warehouse
    from billing_pipeline.postgres.migrations import migrate as apply

    applied = apply(open_warehouse(load_settings()), roles=roles)
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{len(applied)} migration(s) applied; the database is up to date")


@click.command()
@click.option("-c", "query", help="Run this statement and exit.")
@click.option("--csv", is_flag=True, help="Print raw CSV; in a spreadsheet a text may become a formula.")
def sql(query: str | None, csv: bool) -> None:
    """Open psql on the configured database."""
    from billing_pipeline.postgres.psql import psql_command

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
    """Print the variables that plain Dagster commands need, and keep an embedded server running until `billing stop`.

    Use it as: eval "$(billing env)"; dagster dev
    """
    import shlex

    from billing_pipeline.invoicing.first_month import keep_first_month

    warehouse = open_database()
    keep_first_month(warehouse, load_settings())
    if warehouse.keep_alive is not None:
        from billing_pipeline.postgres.embedded_postgres import keep_running

        keep_running(warehouse.keep_alive)
    values = {
        "DAGSTER_HOME": str(dagster_home(load_settings().state_dir)),
        "DAGSTER_POSTGRES_URL": warehouse.dagster_url.render_as_string(hide_password=False),
    }
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@click.command()
def stop() -> None:
    """Stop the embedded database that `billing env` keeps running, or that a killed process left."""
    settings = load_settings()
    if settings.postgres.database_url is not None:
        raise SettingsError("BILLING_DATABASE_URL is set: that database is not ours to stop")
    from billing_pipeline.postgres.embedded_postgres import stop as stop_server

    used_by = stop_server(settings.state_dir / "postgres")
    if used_by is None:
        click.echo("no embedded database is running")
    elif used_by:
        click.echo(f"still used by process(es) {', '.join(map(str, used_by))}: it stops with the last of them")
    else:
        click.echo("stopped")
