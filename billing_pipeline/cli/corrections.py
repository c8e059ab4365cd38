"""`billing void`, `adjust` and `adjustments`: take back an invoice that was not paid, and change the next one."""

import sys

import click

from billing_pipeline.cli.common import AUTHOR, REASON, minor_units, open_database, open_stripe, table


@click.command()
@click.argument("invoice")
@click.option(
    "--rebill/--no-rebill",
    default=None,
    help="Bill its month again at once, up to the new draft; or never. Default: its month's next run does.",
)
@REASON
@AUTHOR
def void(invoice: str, rebill: bool | None, reason: str, author: str) -> None:
    """Void INVOICE, a number or an id, at Stripe and here. Its period is billed again as the next revision."""
    from billing_pipeline.core.signature import Signature
    from billing_pipeline.corrections.void_invoice import void_invoice

    warehouse = open_database()
    with open_stripe() as api:
        signature = Signature(author, reason)
        named, done = void_invoice(warehouse, api, invoice, signature, rebill=rebill is not False)
    at_stripe = ", ".join(done.stripe_invoice_ids) or "nothing was open there"
    click.echo(f"{named.label} {'was void already' if done.already else f'is void; at Stripe: {at_stripe}'}")
    month = f"{named.billing_month:%Y-%m}"
    if rebill is False:
        click.echo(f"its period is not billed again, unless somebody says `billing void {named.label} --rebill`")
        return
    if rebill is None:
        click.echo(f"`billing run --month {month} --through invoices` drafts what replaces it")
        return
    from billing_pipeline.cli.months import report_run
    from billing_pipeline.defs.running import dagster_instance, run_month

    with dagster_instance(warehouse.dagster_url.render_as_string(hide_password=False)) as instance:
        [outcome] = run_month(instance, named.billing_month, "invoices")
    report_run(outcome)
    drafted = warehouse.rows(
        "SELECT invoice_id::text AS id, revision FROM billing.invoices WHERE supersedes_invoice_id = :id",
        id=named.invoice_id,
    )
    for row in drafted:
        click.echo(f"revision {row['revision']} supersedes {named.label}: draft {row['id']}")
    if not outcome.success:
        sys.exit(1)


@click.command()
@click.argument("customer")
@click.option("--amount", required=True, help="In the customer's currency; -12.50 is a credit.")
@click.option("--description", help="Text that the customer reads. Default: the reason.")
@REASON
@AUTHOR
def adjust(customer: str, amount: str, description: str | None, reason: str, author: str) -> None:
    """Add a one-off amount to CUSTOMER's next invoice, or take it off."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.core.signature import Signature
    from billing_pipeline.corrections.adjusting import adjust as make
    from billing_pipeline.corrections.adjusting import currency_of

    warehouse = open_database()
    minor = minor_units("--amount", amount, currency_of(warehouse, customer))
    made = make(warehouse, customer, minor, Signature(author, reason), description=description)
    click.echo(
        f"{format_minor(made.amount_minor, made.currency)} will be on the next invoice of {customer} that is drafted;"
        " run its month again if that draft exists already"
    )


@click.group()
def adjustments() -> None:
    """Adjustments that wait for an invoice."""


@adjustments.command(name="list")
def list_() -> None:
    """Show the adjustments, or parts of credits, that are on no live invoice."""
    rows = open_database().rows(
        "SELECT adjustment_id AS adjustment, customer_id AS customer, amount_minor, left_minor, currency, author,"
        " reason FROM billing.waiting_adjustments ORDER BY created_at, adjustment_id"
    )
    table(rows, "no adjustment waits")


@adjustments.command()
@click.argument("adjustment")
@REASON
@AUTHOR
def revoke(adjustment: str, reason: str, author: str) -> None:
    """Revoke ADJUSTMENT, an id of `billing adjustments list` that no invoice has taken up, drafts included."""
    from billing_pipeline.core.signature import Signature
    from billing_pipeline.corrections.adjusting import revoke as do

    do(open_database(), adjustment, Signature(author, reason))
    click.echo(f"adjustment {adjustment} is revoked: no invoice takes it")
