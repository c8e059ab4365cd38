"""`billing budgets`: of how much of a running period customers want to be told."""

import click

from billing_pipeline.cli.common import minor_units, open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import CUSTOMER, JSON, LIMIT, signed
from billing_pipeline.cli.output import print_json, print_rows
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.rules.budgets import DEFAULT_PERCENT

METER = click.option("--meter", help="The meter that is watched. Default: what the invoice comes to so far.")


@click.group(cls=Group)
def budgets() -> None:
    """Budgets: tell a customer when a running period comes near an amount or a quantity."""


@budgets.command(name="set")
@click.argument("customer")
@METER
@click.option("--limit", required=True, help="In the customer's currency, or in the meter's unit.")
@click.option(
    "--at", "percents", type=int, multiple=True, help="Share of it that is told, in percent; may be repeated.",
    default=DEFAULT_PERCENT, show_default=True,
)  # fmt: skip
@signed
def set_(customer: str, meter: str | None, limit: str, percents: tuple[int, ...], signature: Signature) -> None:
    """Watch CUSTOMER's running periods; what was watched before in the same place is watched so from now on."""
    from billing_pipeline.customers.reading import read_customer
    from billing_pipeline.notices.budgets import budget_amount, budget_quantity

    warehouse = open_database()
    if meter is None:
        limit_minor = minor_units("--limit", limit, read_customer(warehouse, customer)["currency"])
        changed = budget_amount(warehouse, customer, limit_minor, signature, percents=percents)
    else:
        changed = budget_quantity(warehouse, customer, meter, limit, signature, percents=percents)
    click.echo(f"customer {customer}: {meter or 'the amount'} {'is watched' if changed else 'was watched so already'}")


@budgets.command()
@click.argument("customer")
@METER
@signed
def end(customer: str, meter: str | None, signature: Signature) -> None:
    """Watch it no more."""
    from billing_pipeline.notices.budgets import end_budget

    end_budget(open_database(), customer, meter, signature)
    click.echo(f"customer {customer}: {meter or 'the amount'} is watched no more")


@budgets.command(name="list")
@CUSTOMER
@LIMIT
@JSON
def list_(customer: str | None, limit: int, as_json: bool) -> None:
    """Show the budgets that hold."""
    from billing_pipeline.notices.budgets import list_budgets

    rows = list_budgets(open_database(), customer_id=customer, limit=limit)
    print_rows("budgets", rows, as_json=as_json, empty="there are no budgets")


@budgets.command()
@JSON
def check(as_json: bool) -> None:
    """Look at running periods now, and tell what is reached; a sensor does it every five minutes."""
    from billing_pipeline.notices.sending import utc_now
    from billing_pipeline.notices.thresholds import tell_of_thresholds

    looked = tell_of_thresholds(open_database(), utc_now, log=lambda line: click.echo(line, err=True))
    if as_json:
        print_json({"customers": looked.customers, "told": looked.told, "failed": list(looked.failed)})
    else:
        click.echo(str(looked))
