"""A month's runs as commands start them, and what they say at the end: `billing run` and `billing void --rebill`."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.books.month_result import MonthResult, read_month_result
from billing_pipeline.cli.common import WAITS_FOR_A_PERSON
from billing_pipeline.cli.output import print_json, table
from billing_pipeline.core.money import format_minor
from billing_pipeline.invoicing.customer_drafts import require_draftable
from billing_pipeline.invoicing.reading import list_invoices
from billing_pipeline.postgres.engine import require_dagster_storage
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

if TYPE_CHECKING:
    from billing_pipeline.defs.running import RunOutcome


def run_jobs(
    warehouse: Warehouse,
    settings: Settings,
    month: date,
    through: str,
    *,
    started_by: str,
    **options: Any,
) -> "list[RunOutcome]":
    """Run the jobs of a month up to an asset. What can be said without Dagster, which takes seconds, is said first.

    Raises:
        UserError: Dagster's storage does not answer.
    """
    require_dagster_storage(warehouse.dagster_url)
    from billing_pipeline.defs.instance import dagster_instance
    from billing_pipeline.defs.running import STARTED_BY, run_month
    from billing_pipeline.stripe_gateway.local_emulator import stripe_for

    url = warehouse.dagster_url.render_as_string(hide_password=False)
    with stripe_for(settings, needed=through == "stripe_charges"), dagster_instance(url) as instance:
        return run_month(instance, month, through, tags={STARTED_BY: started_by}, **options)


def run_one_customer(
    warehouse: Warehouse, month: date, customer: str, *, started_by: str, as_json: bool, **reading: Any
) -> None:
    """Run `bill_customer`, and say what its drafts are. What is refused is said without Dagster, which takes seconds.

    Raises:
        UserError: the customer cannot be drafted alone, or Dagster's storage does not answer.
    """
    with warehouse.transaction() as connection:
        require_draftable(connection, month, customer)
    require_dagster_storage(warehouse.dagster_url)
    from billing_pipeline.defs.instance import dagster_instance
    from billing_pipeline.defs.running import STARTED_BY, run_customer

    with dagster_instance(warehouse.dagster_url.render_as_string(hide_password=False)) as instance:
        outcome = run_customer(instance, month, customer, tags={STARTED_BY: started_by}, **reading)
    drafts = list_invoices(warehouse, month=month, customer_id=customer, status="draft")
    if as_json:
        print_json({"billing_month": month, "customer_id": customer, "runs": [_run(outcome)], "drafts": drafts})
        print_errors(outcome)
    else:
        print_run(outcome)
        for draft in drafts:
            total = format_minor(draft["total_minor"], draft["currency"])
            click.echo(f"draft {draft['invoice_id']}: {total}, {draft['line_count']} line(s)")
        if not drafts:
            click.echo(f"{customer} has no draft in {month:%Y-%m}")
    if not outcome.success:
        sys.exit(1)


def print_run(outcome: "RunOutcome") -> None:
    """How a run ended: figures to stdout, what went wrong to stderr."""
    ended = "passed" if outcome.success else "HELD BACK" if outcome.is_held_back else "FAILED"
    click.echo(f"{outcome.job}: {ended}  (run {outcome.run_id})")
    for asset, metadata in outcome.metadata.items():
        figures = [f"{metadata['dagster/row_count']} rows"] if "dagster/row_count" in metadata else []
        figures += [str(value) for name, value in metadata.items() if name.startswith("total_")]
        click.echo(f"  {asset}: {', '.join(figures)}")
        if "note" in metadata:
            click.echo(f"    {metadata['note']}")
    for line in outcome.warnings:
        click.echo(f"  warning: {line}")
    print_errors(outcome)


def print_errors(outcome: "RunOutcome") -> None:
    """What went wrong, a line each."""
    for line in [*outcome.failed_checks, *outcome.errors]:
        click.echo(f"Error: {line}", err=True)


def end_run(warehouse: Warehouse, month: date, outcomes: "Sequence[RunOutcome]", *, as_json: bool) -> None:
    """Say what came of the month, and end with the exit status that says so too."""
    failed = not all((outcome.success or outcome.is_held_back) and not outcome.failed_checks for outcome in outcomes)
    result = read_month_result(warehouse, month, _held_back(outcomes))
    if as_json:
        print_json({"billing_month": month, "runs": [_run(outcome) for outcome in outcomes], **_shape(result)})
        for outcome in outcomes:
            print_errors(outcome)
    else:
        for outcome in outcomes:
            print_run(outcome)
        if not failed:
            _print_result(result, month)
    if failed:
        sys.exit(1)
    if result.waits_for_a_person:
        sys.exit(WAITS_FOR_A_PERSON)


def _held_back(outcomes: "Sequence[RunOutcome]") -> dict[str, int]:
    return {code: count for outcome in outcomes for code, count in outcome.held_back.items()}


def _run(outcome: "RunOutcome") -> dict[str, Any]:
    return {
        "job": outcome.job,
        "run_id": outcome.run_id,
        "success": outcome.success,
        "failed_checks": outcome.failed_checks,
        "warnings": outcome.warnings,
        "errors": outcome.errors,
    }


def _shape(result: MonthResult) -> dict[str, Any]:
    return {
        "invoices": result.invoices,
        "quarantined": result.quarantined,
        "holds": [asdict(hold) for hold in result.holds],
        "held_back": result.held_back,
        "waits_for_a_person": result.waits_for_a_person,
    }


def _worth(row: dict[str, Any]) -> str:
    if row["worth_minor"] is None:
        return ""
    return f", worth {format_minor(row['worth_minor'], row['currency'])} at the last price"


def _print_result(result: MonthResult, month: date) -> None:
    name = f"{month:%Y-%m}"
    click.echo("")
    table(result.invoices, f"{name} has no invoices")
    for row in result.quarantined:
        click.echo(
            f"set aside: {row['reason']}: {row['events']:,} event(s) of {row['customers']:,} customer(s), such as"
            f" {row['for_example']}{_worth(row)}"
        )
    if result.quarantined:
        click.echo(f"  more: billing sql -c \"SELECT * FROM billing.usage_quarantine WHERE billing_month = '{month}'\"")
    for hold in result.holds:
        click.echo(f"on hold: {hold.kind} {hold.subject}, by {hold.author}: {hold.reason}")
    if result.holds:
        click.echo(f"  more: billing hold list --month {name}")
    for code, count in result.held_back.items():
        click.echo(f"held back by {code}" + (f": {count:,} charge(s)" if count else ""))
    if result.held_back:
        click.echo("  more: billing charges status")
    for state in ("refused", "parked"):
        if result.count(state):
            click.echo(f"{state}: {result.count(state):,} charge(s)")
            click.echo(f"  more: billing charges list --month {name} --state {state}")
