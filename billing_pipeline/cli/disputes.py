"""`billing disputes`: money that a bank took back, and what a person decides about it."""

import click

from billing_pipeline.cli.common import open_database, open_stripe
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, signed
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.signature import Signature

_COLUMNS = ("dispute_id", "number", "customer_id", "status", "taken_back_minor", "decision", "waits_for_a_person")


@click.group(cls=Group)
def disputes() -> None:
    """Disputes of payments: look at them, give one up, and decide about what is lost."""


@disputes.command(name="list")
@click.option("--all", "all_", is_flag=True, help="Also those that ended and need no decision any more.")
@JSON
def list_(all_: bool, as_json: bool) -> None:
    """List disputes and inquiries, those that wait for a person first."""
    from billing_pipeline.corrections.lost_disputes import list_disputes

    rows = list_disputes(open_database(), all_=all_)
    print_rows("disputes", rows, as_json=as_json, empty="no dispute is open or waits for a person", columns=_COLUMNS)


@disputes.command()
@click.argument("dispute")
@signed
def accept(dispute: str, signature: Signature) -> None:
    """Give DISPUTE up at Stripe: it is lost at once, and for good."""
    from billing_pipeline.corrections.lost_disputes import accept_dispute

    warehouse = open_database()
    with open_stripe() as api:
        row = accept_dispute(warehouse, api, dispute, signature)
    click.echo(f"{dispute} of {row['number']} is {row['status']}")
    if row["waits_for_a_person"]:
        click.echo(f"decide: `billing disputes write-off {dispute}` or `billing disputes collect-again {dispute}`")


@disputes.command(name="write-off")
@click.argument("dispute")
@signed
def write_off(dispute: str, signature: Signature) -> None:
    """Ask nobody for the money of DISPUTE, which is lost, any more."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections import lost_disputes

    done = lost_disputes.write_off(open_database(), dispute, signature)
    click.echo(f"{format_minor(done.amount_minor, done.currency)} of {done.number} is written off")


@disputes.command(name="collect-again")
@click.argument("dispute")
@signed
def collect_again(dispute: str, signature: Signature) -> None:
    """Put the money of DISPUTE, which is lost, on the customer's next invoice."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections import lost_disputes

    done = lost_disputes.collect_again(open_database(), dispute, signature)
    click.echo(
        f"{format_minor(done.amount_minor, done.currency)} of {done.number} will be on the next invoice of"
        f" {done.customer_id} that is drafted and that a run will charge"
    )
