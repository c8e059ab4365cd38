"""`billing credits`: prepaid credits, which invoices draw when they become final."""

from datetime import date, datetime
from typing import TYPE_CHECKING, cast

import click

from billing_pipeline.cli.common import minor_units, open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import CUSTOMER, JSON, signed
from billing_pipeline.cli.output import print_json, print_rows
from billing_pipeline.core.signature import Signature

if TYPE_CHECKING:
    from billing_pipeline.invoicing.credits import CreditKind

DAY = click.DateTime(["%Y-%m-%d"])


@click.group(cls=Group)
def credits_() -> None:
    """Prepaid credits: grant them, look at the ledger, book what expired, take back what is left."""


@credits_.command()
@click.argument("customer")
@click.option("--amount", required=True, help="In the customer's currency.")
@click.option(
    "--kind",
    type=click.Choice(["paid", "promotional"]),
    default="paid",
    show_default=True,
    help="Whether the customer paid for it, or it is a gift.",
)
@click.option("--priority", type=int, default=100, show_default=True, help="The lower is drawn first.")
@click.option("--expires", type=DAY, help="Last day on which an invoice draws it, in the customer's time zone.")
@click.option("--description", help="Text that the customer reads.")
@signed
def grant(
    customer: str,
    amount: str,
    kind: str,
    priority: int,
    expires: datetime | None,
    description: str | None,
    signature: Signature,
) -> None:
    """Grant credits to CUSTOMER."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections.adjusting import currency_of
    from billing_pipeline.invoicing.credits import grant_credits

    warehouse = open_database()
    minor = minor_units("--amount", amount, currency_of(warehouse, customer))
    last: date | None = expires.date() if expires else None
    made = grant_credits(
        warehouse,
        customer,
        minor,
        signature,
        kind=cast("CreditKind", kind),
        priority=priority,
        expires_on=last,
        description=description,
    )
    click.echo(f"grant {made.grant_id}: {format_minor(made.amount_minor, made.currency)} for customer {customer}")


@credits_.command(name="list")
@CUSTOMER
@click.option("--all", "every", is_flag=True, help="Also grants of which nothing is left.")
@JSON
def list_(customer: str | None, every: bool, as_json: bool) -> None:
    """Show the grants in the order in which they are drawn."""
    from billing_pipeline.invoicing.credits import list_grants

    rows = list_grants(open_database(), customer_id=customer, every=every)
    print_rows("credits", rows, as_json=as_json, empty="there are no credits")


@credits_.command()
@click.argument("customer")
@JSON
def show(customer: str, as_json: bool) -> None:
    """Show CUSTOMER's balance, and each entry of the ledger with the balance after it."""
    from billing_pipeline.invoicing.credits import credit_balances, credit_entries

    warehouse = open_database()
    balances, entries = credit_balances(warehouse, customer), credit_entries(warehouse, customer)
    if as_json:
        print_json({"balances": balances, "entries": entries})
        return
    print_rows("balances", balances, as_json=False, empty=f"customer {customer} has no credits")
    print_rows("entries", entries, as_json=False, empty="")


@credits_.command()
@CUSTOMER
@signed
def expire(customer: str | None, signature: Signature) -> None:
    """Book what is left of grants whose last day is over; finalising a month does it too."""
    from billing_pipeline.invoicing.credits import expire_credits

    click.echo(f"{expire_credits(open_database(), signature, customer_id=customer)} grants expired")


@credits_.command(name="return")
@click.argument("invoice")
@click.option("--amount", help="In the invoice's currency. Default: all that it drew.")
@signed
def return_(invoice: str, amount: str | None, signature: Signature) -> None:
    """Give back to the customer's credits what INVOICE drew, as a credit note does with what was paid."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.invoicing.credits import return_credits
    from billing_pipeline.invoicing.invoice_reference import find_final_invoice

    warehouse = open_database()
    named = find_final_invoice(warehouse, invoice)
    minor = None if amount is None else minor_units("--amount", amount, named.currency)
    returned = return_credits(warehouse, named.invoice_id, signature, amount_minor=minor)
    click.echo(f"{named.label}: {format_minor(returned, named.currency)} is back in the credits of {named.customer_id}")


@credits_.command()
@click.argument("grant_id")
@signed
def void(grant_id: str, signature: Signature) -> None:
    """Take back what is left of a grant; what was drawn stays drawn."""
    from billing_pipeline.invoicing.credits import void_credits

    taken = void_credits(open_database(), grant_id, signature)
    click.echo(f"grant {grant_id} is void: {taken} minor units were left of it")
