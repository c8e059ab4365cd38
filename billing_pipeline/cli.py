"""The `billing` command. It parses, calls, and turns a user's mistake into one clear line; nothing is decided here.

Imports happen inside the commands: a command starts as fast as what it needs.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import ROOT, load_settings

if TYPE_CHECKING:
    from billing_pipeline.adapters.warehouse import Warehouse


class _Month(click.ParamType[date]):
    name = "YYYY-MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])(-01)?", str(value))
        if match is None:
            self.fail(f"{value!r}: expected a month such as 2026-10", param, ctx)
        return date(int(match[1]), int(match[2]), 1)


class _Instant(click.ParamType[datetime]):
    name = "INSTANT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r}: expected an ISO 8601 instant such as 2026-11-01T00:00:00Z", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r}: expected an offset, such as Z or +01:00", param, ctx)
        return instant


class _Commands(click.Group):
    """Turns the errors that a user can cause into one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Usage billing: import usage, run a month, look at the result."""


def _open() -> "Warehouse":
    """The configured database, migrated."""
    from billing_pipeline.adapters.migrations import migrate
    from billing_pipeline.adapters.warehouse import open_warehouse

    warehouse = open_warehouse(load_settings())
    migrate(warehouse)
    return warehouse


@main.command()
def migrate() -> None:
    """Bring the database up to date with sql/migrations and sql/views."""
    from billing_pipeline.adapters.migrations import migrate as apply
    from billing_pipeline.adapters.warehouse import open_warehouse

    applied = apply(open_warehouse(load_settings()))
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{len(applied)} migration(s) applied; the database is up to date")


@main.group(name="import")
def import_() -> None:
    """Import the platform's files: CSV, JSONL or Parquet. All of a file or nothing."""


_FILE = click.argument("file", type=click.Path(path_type=Path))


@import_.command(name="customers")
@_FILE
def import_customers_command(file: Path) -> None:
    """Add and update customers."""
    from billing_pipeline.adapters.customer_import import import_customers

    done = import_customers(_open(), file)
    click.echo(f"{done.rows} customers: {done.inserted} new, {done.updated} changed, {done.unchanged} as they were")


@import_.command(name="usage")
@_FILE
@click.option(
    "--complete-through",
    type=_Instant(),
    help="The feed holds all usage before this instant. Default: its newest occurred_at.",
)
def import_usage_command(file: Path, complete_through: datetime | None) -> None:
    """Add usage events. An event that is already known is not added again."""
    from billing_pipeline.adapters.usage_import import import_usage

    done = import_usage(_open(), file, complete_through)
    reach = done.complete_through.isoformat() if done.complete_through else "never"
    click.echo(
        f"{done.rows} usage events: {done.new_events} new, {done.known_events} known already;"
        f" the feed is complete through {reach}"
    )


@main.group()
def correct() -> None:
    """Correct what the platform sent, by adding to it."""


@correct.command(name="usage")
@click.option("--event-id", help="The event that was wrong.")
@click.option("--customer", help="Whose usage, when an event was missing.")
@click.option("--meter", help="Which meter, when an event was missing.")
@click.option("--dimensions", help="A JSON object, when an event was missing.")
@click.option("--occurred-at", type=_Instant(), help="When, when an event was missing.")
@click.option("--quantity", required=True, help="The right quantity.")
@click.option("--author", required=True, help="Who corrects.")
@click.option("--reason", required=True, help="Why.")
def correct_usage_command(
    event_id: str | None,
    customer: str | None,
    meter: str | None,
    dimensions: str | None,
    occurred_at: datetime | None,
    quantity: str,
    author: str,
    reason: str,
) -> None:
    """Write a correcting event, which stands in for --event-id or adds a missing one."""
    import json

    from billing_pipeline.adapters.usage_correction import correct_usage

    try:
        values = json.loads(dimensions) if dimensions else None
    except json.JSONDecodeError:
        raise click.BadParameter(f"{dimensions!r}: expected a JSON object", param_hint="--dimensions") from None
    written = correct_usage(
        _open(),
        author=author,
        reason=reason,
        event_id=event_id,
        quantity=quantity,
        customer_id=customer,
        meter=meter,
        dimensions=values,
        occurred_at=occurred_at,
    )
    click.echo(f"correcting event {written} written; run the month again to bill it")


@main.command()
@click.option("--month", type=_Month(), required=True, help="The month to bill, such as 2026-10.")
@click.option(
    "--through",
    type=click.Choice(["usage_snapshots", "invoice_line_items", "invoices", "stripe_charges"]),
    default="stripe_charges",
    show_default=True,
    help="Stop after this asset. stripe_charges finalises the invoices and charges them.",
)
@click.option("--carry-forward", is_flag=True, help="Release a month whose usage feed is incomplete.")
@click.option("--as-of", type=_Instant(), help="Count only events received until then.")
def run(month: date, through: str, carry_forward: bool, as_of: datetime | None) -> None:
    """Run the Dagster jobs of a month in this process. Exit status 1 if a run failed."""
    from billing_pipeline.defs.running import RunOutcome, dagster_instance, run_month
    from billing_pipeline.sandbox.local_stripe import stripe_for

    warehouse = _open()
    url = warehouse.dagster_url.render_as_string(hide_password=False)
    with stripe_for(load_settings(), needed=through == "stripe_charges"), dagster_instance(url) as instance:
        outcomes: list[RunOutcome] = run_month(
            instance, month, through, carry_forward=carry_forward, as_of=as_of.isoformat() if as_of else None
        )
    for outcome in outcomes:
        _report(outcome)
    if not all(outcome.success and not outcome.failed_checks for outcome in outcomes):
        sys.exit(1)


def _report(outcome: Any) -> None:
    click.echo(f"{outcome.job}: {'passed' if outcome.success else 'FAILED'}  (run {outcome.run_id})")
    for asset, metadata in outcome.metadata.items():
        figures = [f"{metadata['dagster/row_count']} rows"] if "dagster/row_count" in metadata else []
        figures += [str(value) for name, value in metadata.items() if name.startswith("total_")]
        click.echo(f"  {asset}: {', '.join(figures)}")
    for line in outcome.warnings:
        click.echo(f"  warning: {line}")
    for line in [*outcome.failed_checks, *outcome.errors]:
        click.echo(f"Error: {line}", err=True)


@main.command()
@click.option("-c", "query", help="Run this statement and exit.")
@click.option("--csv", is_flag=True, help="Print CSV.")
def sql(query: str | None, csv: bool) -> None:
    """Open psql on the configured database."""
    from billing_pipeline.adapters.psql import psql_command

    warehouse = _open()
    command, environment = psql_command(warehouse)
    if query is not None:
        command += ["--command", query]
    if csv:
        command += ["--csv"]
    # not exec: this process holds the handle that keeps an embedded server running
    sys.exit(subprocess.run(command, env={**os.environ, **environment}, check=False).returncode)


@main.command()
@click.option("--port", default=12111, show_default=True, help="Port on 127.0.0.1.")
def emulator(port: int) -> None:
    """Serve the Stripe emulator until Ctrl-C."""
    from billing_pipeline.sandbox.stripe_emulator.server import serve

    state = load_settings().state_dir
    state.mkdir(parents=True, exist_ok=True)
    serve(state / "stripe.sqlite", port=port)


@main.command()
def env() -> None:
    """Print the variables that plain Dagster commands need, and leave an embedded server running.

    Use it as: eval "$(billing env)"; dagster dev
    """
    import shlex

    from billing_pipeline.adapters.warehouse import leave_running

    warehouse = _open()
    leave_running(warehouse)
    values = {
        "DAGSTER_HOME": str(ROOT),
        "DAGSTER_POSTGRES_URL": warehouse.dagster_url.render_as_string(hide_password=False),
    }
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _lazy(module: str, function: str) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(module), function)(**arguments)

    return call


@main.command()
def demo() -> None:
    """Bill last month for the three examples and some two hundred generated customers, end to end."""
    sys.exit(_lazy("billing_pipeline.sandbox.demo", "run_demo")())


@main.command()
@click.option("--port", default=3000, show_default=True, help="Port of the UI on 127.0.0.1.")
def up(port: int) -> None:
    """Run the UI, the daemon and the Stripe emulator on the demo's data until Ctrl-C."""
    sys.exit(_lazy("billing_pipeline.sandbox.up", "run_up")(port=port))


@main.command()
@click.option("--customers", default=100_000, show_default=True, type=click.IntRange(min=100))
def bench(customers: int) -> None:
    """Measure rows per second of each asset against COPY of the same rows."""
    sys.exit(_lazy("billing_pipeline.sandbox.bench", "run_bench")(customer_count=customers))


if __name__ == "__main__":
    main()
