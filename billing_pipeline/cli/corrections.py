"""`billing void`, `adjust` and `adjustments`: take back an invoice that was not paid, and change the next one."""

import sys

import click

from billing_pipeline.cli.common import minor_units, open_database, open_stripe
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import CUSTOMER, JSON, signed
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings


@click.command()
@click.argument("invoice")
@click.option(
    "--rebill/--no-rebill",
    default=None,
    help="Bill its month again at once, up to the new draft; or never. Default: its month's next run does.",
)
@signed
def void(invoice: str, rebill: bool | None, signature: Signature) -> None:
    """Void INVOICE, a number or an id, at Stripe and here. Its period is billed again as the next revision."""
    from billing_pipeline.corrections.reading import revisions_of
    from billing_pipeline.corrections.void_invoice import void_invoice

    warehouse = open_database()
    with open_stripe() as api:
        named, done = void_invoice(
            warehouse,
            api,
            invoice,
            signature,
            rebill=rebill is not False,
        )
    at_stripe = ", ".join(done.stripe_invoice_ids) or "nothing was open there"
    click.echo(f"{named.label} {'was void already' if done.already else f'is void; at Stripe: {at_stripe}'}")
    month = f"{named.billing_month:%Y-%m}"
    if named.supplement_no:
        what = "is revoked" if rebill is False else f"is on another draft: `billing run --month {month}`"
        click.echo(f"what it carried {what}")
        return
    if rebill is False:
        click.echo(f"its period is not billed again, unless somebody says `billing void {named.label} --rebill`")
        return
    if rebill is None:
        click.echo(f"`billing run --month {month} --through invoices` drafts what replaces it")
        return
    from billing_pipeline.cli.month_runs import print_run, run_jobs

    [outcome] = run_jobs(warehouse, load_settings(), named.billing_month, "invoices", started_by=signature.author)
    print_run(outcome)
    for row in revisions_of(warehouse, named.invoice_id):
        click.echo(f"revision {row['revision']} supersedes {named.label}: draft {row['invoice_id']}")
    if not outcome.success:
        sys.exit(1)


@click.command()
@click.argument("customer")
@click.option("--amount", required=True, help="In the customer's currency; -12.50 is a credit.")
@click.option("--description", help="Text that the customer reads. Default: the reason.")
@signed
def adjust(customer: str, amount: str, description: str | None, signature: Signature) -> None:
    """Add a one-off amount to CUSTOMER's next invoice, or take it off."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections import adjusting

    warehouse = open_database()
    minor = minor_units("--amount", amount, adjusting.currency_of(warehouse, customer))
    made = adjusting.adjust(warehouse, customer, minor, signature, description=description)
    click.echo(
        f"{format_minor(made.amount_minor, made.currency)} will be on the next invoice of {customer} that is drafted"
        " and that a run will charge; run its month again if that draft exists already"
    )


@click.group(cls=Group)
def adjustments() -> None:
    """Adjustments that wait for an invoice."""


@adjustments.command(name="list")
@CUSTOMER
@JSON
def list_(customer: str | None, as_json: bool) -> None:
    """Show the adjustments, or parts of credits, that are on no live invoice."""
    from billing_pipeline.corrections.reading import waiting_adjustments

    rows = waiting_adjustments(open_database(), customer)
    columns = ("adjustment_id", "customer_id", "amount_minor", "left_minor", "author", "reason")
    print_rows("adjustments", rows, as_json=as_json, empty="no adjustment waits", columns=columns)


@adjustments.command()
@click.argument("adjustment")
@signed
def revoke(adjustment: str, signature: Signature) -> None:
    """Revoke ADJUSTMENT, an id of `billing adjustments list` that no invoice has taken up, drafts included."""
    from billing_pipeline.corrections import adjusting

    adjusting.revoke(open_database(), adjustment, signature)
    click.echo(f"adjustment {adjustment} is revoked: no invoice takes it")
