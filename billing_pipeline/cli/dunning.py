"""`billing dunning`: what follows from unpaid invoices, and where customers stand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import CUSTOMER, JSON, signed
from billing_pipeline.cli.output import print_json, print_rows
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.notices.rules.dunning_policy import Policy

STATES = ("current", "past_due", "in_grace", "suspended", "resumed")


@click.group(cls=Group)
def dunning() -> None:
    """What follows from unpaid invoices: reminders, suspension, promises."""


@dunning.command(name="list")
@CUSTOMER
@JSON
def list_(customer: str | None, as_json: bool) -> None:
    """Show the unpaid invoices that are counted, how far each has come, and what is next."""
    from billing_pipeline.notices.dunning import case_rows

    rows = case_rows(open_database(), _policy(), datetime.now(UTC), customer)
    print_rows("cases", rows, as_json=as_json, empty="nothing is unpaid")


@dunning.command()
@click.option("--state", type=click.Choice(STATES), help="Only customers who stand so.")
@JSON
def status(state: str | None, as_json: bool) -> None:
    """Show where customers stand: past_due, in_grace, suspended, resumed."""
    from billing_pipeline.notices.dunning import standings

    print_rows("customers", standings(open_database(), state), as_json=as_json, empty="nobody was ever in dunning")


@dunning.command()
@click.argument("customer")
@JSON
def show(customer: str, as_json: bool) -> None:
    """Show everything that dunning did with a customer."""
    from billing_pipeline.notices.dunning import history

    print_rows("history", history(open_database(), customer), as_json=as_json, empty="nothing happened")


@dunning.command()
@click.argument("customer")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), required=True, help="Last day of the promise.")
@signed
def promise(customer: str, until: datetime, signature: Signature) -> None:
    """The customer promised to pay; until the end of that day nothing is done. The newest promise counts."""
    from billing_pipeline.notices.dunning import promise as promised

    ends = promised(open_database(), customer, until.date(), datetime.now(UTC), signature)
    click.echo(f"customer {customer}: nothing is done until {ends:%Y-%m-%d %H:%M} UTC")


@dunning.command()
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="So many days from now.")
@JSON
def simulate(days: int, as_json: bool) -> None:
    """Show what would be done in the next days if nobody paid; changes nothing."""
    from billing_pipeline.notices.dunning import simulate as simulated

    rows = simulated(open_database(), _policy(), datetime.now(UTC), days)
    print_rows("steps", rows, as_json=as_json, empty="nothing would be done")


@dunning.command()
def run() -> None:
    """Take the steps that are due now; the sensor does the same by itself."""
    from billing_pipeline.notices.dunning import take_steps

    taken = take_steps(open_database(), _policy(), "by hand", datetime.now(UTC), click.echo)
    click.echo(", ".join(f"{count} {what}" for what, count in sorted(taken.items())) or "nothing is due")


@dunning.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--names", is_flag=True, help="Ask the database whether the customers, plans and books in it are known.")
@JSON
def check(file: Path | None, names: bool, as_json: bool) -> None:
    """Check a policy and show its courses and steps; without a file the one in use."""
    from billing_pipeline.notices.dunning_policies import load_policy, unknown_names

    policy = load_policy(file or load_settings().notices.dunning_policy)
    unknown = unknown_names(open_database(), policy) if names else []
    steps = [
        {"course": course.name, "counted": track, "day": step.day, "step": step.kind or step.action}
        for course in policy.courses
        for track, found in course.tracks.items()
        for step in found
    ]
    if as_json:
        when = [{"name": one.name, "when": {k: sorted(v) for k, v in one.when.items()}} for one in policy.courses]
        print_json({"name": policy.name, "courses": when, "steps": steps, "unknown": unknown})
        return
    click.echo(f"policy {policy.name}")
    for course in policy.courses:
        facts = "; ".join(f"{fact} is {' or '.join(sorted(values))}" for fact, values in course.when.items())
        click.echo(f"course {course.name}: where {facts or 'no course before it holds'}")
    for line in unknown:
        click.echo(f"unknown: {line}")
    print_rows("steps", steps, as_json=False, empty="no step")


def _policy() -> "Policy":
    from billing_pipeline.notices.dunning_policies import load_policy

    return load_policy(load_settings().notices.dunning_policy)
