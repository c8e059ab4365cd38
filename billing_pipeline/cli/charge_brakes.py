"""`billing charges pause`, `resume`, `release` and `reconcile`: the brakes of all charging."""

from datetime import date

import click

from billing_pipeline.cli.common import open_database, open_stripe, quiet
from billing_pipeline.cli.options import Month, signed
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature


@click.command()
@signed
def pause(signature: Signature) -> None:
    """Stop charging everywhere, runs that are under way included."""
    from billing_pipeline.charging.brakes import pause_charging

    pause_charging(open_database(), signature)
    click.echo("charging is paused; Stripe is still asked about what is under way")


@click.command()
@signed
def resume(signature: Signature) -> None:
    """Let charging go on after a pause."""
    from billing_pipeline.charging.brakes import resume_charging

    resume_charging(open_database(), signature)
    click.echo("charging goes on with the next pass")


@click.command()
@click.argument("month", type=Month())
@signed
def release(month: date, signature: Signature) -> None:
    """Release the charges of MONTH that wait for its canaries."""
    from billing_pipeline.charging.canary import release_month

    count = release_month(open_database(), month, signature)
    click.echo(f"{count} charge(s) of {month:%Y-%m} are released; the next pass charges them")


@click.command()
@signed
def reconcile(signature: Signature) -> None:
    """Compare all months with Stripe; after a change of the database, resume when nothing contradicts it."""
    from billing_pipeline.charging.failover import reconcile_after_failover

    warehouse = open_database()
    with open_stripe() as api:
        done = reconcile_after_failover(warehouse, api, signature, log=quiet)
    for problem in done.problems:
        click.echo(f"{problem.number} ({problem.customer_id}) {problem.problem}")
    if done.problems:
        raise UserError(
            f"{len(done.problems)} contradiction(s) between our charges and Stripe's; charging is as it was"
        )
    click.echo(f"{len(done.months)} month(s) agree with Stripe" + ("; charging goes on" if done.resumed else ""))
