"""`billing demo`, `up`, `emulator`, `mailbox` and `bench`: what runs without a Stripe account."""

import sys

import click

from billing_pipeline.cli.groups import Group
from billing_pipeline.settings import Settings, SettingsError, is_live_key, load_settings
from billing_pipeline.settings.environment import private_folder


@click.command()
@click.option(
    "--months", default=1, show_default=True, type=click.IntRange(1, 12), help="Bill and charge so many, one by one."
)
def demo(months: int) -> None:
    """Bill last month for the three examples and some two hundred generated customers, end to end."""
    from billing_pipeline.sandbox.demo import run_demo

    sys.exit(run_demo(months=months))


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the UI on 127.0.0.1.")
def up(port: int) -> None:
    """Run the UI, the daemon and the Stripe emulator on the demo's data until Ctrl-C."""
    from billing_pipeline.sandbox.up import run_up

    sys.exit(run_up(port=port))


@click.command()
@click.option(
    "--customers", default=100_000, show_default=True, type=click.IntRange(min=100), help="So many customers."
)
@click.option(
    "--charged",
    default=1_000,
    show_default=True,
    type=click.IntRange(min=100),
    help="So many customers are charged at the emulator, and their calls counted.",
)
@click.option("--only-charging", is_flag=True, help="Leave everything else out.")
@click.option("--only-notices", is_flag=True, help="Only the sending of notices, and the detection of unusual usage.")
@click.option("--only-pages", is_flag=True, help="Only how long the console's and the portal's pages take.")
@click.option("--only-api", is_flag=True, help="Only what reads, estimates and usage cost over HTTP.")
def bench(
    customers: int, charged: int, only_charging: bool, only_notices: bool, only_pages: bool, only_api: bool
) -> None:
    """Measure rows per second of each asset against COPY of the same rows."""
    if only_api:
        from billing_pipeline.sandbox.bench.api import run_bench_api

        sys.exit(run_bench_api(customer_count=customers))
    if only_pages:
        from billing_pipeline.sandbox.bench.pages import run_bench_pages

        sys.exit(run_bench_pages(customer_count=customers))
    from billing_pipeline.sandbox.bench.run import run_bench

    sys.exit(
        run_bench(
            customer_count=customers,
            charged_count=charged,
            only_charging=only_charging,
            only_notices=only_notices,
        )
    )


@click.command()
@click.option("--port", default=12400, show_default=True, help="Port on 127.0.0.1.")
def mailbox(port: int) -> None:
    """Show the mails that became files, for lack of a mail server, as pages until Ctrl-C."""
    from billing_pipeline.sandbox.mailbox import serve

    settings = load_settings()
    if settings.notices.smtp is not None:
        raise SettingsError("BILLING_SMTP_URL is set: mails go to that server, and no mailbox has them")
    click.echo(f"Mailbox: http://127.0.0.1:{port}   (Ctrl-C ends it)")
    serve(settings.state_dir / "mail", port)


@click.group(cls=Group, invoke_without_command=True)
@click.option("--port", default=12111, show_default=True, help="Port on 127.0.0.1.")
@click.pass_context
def emulator(ctx: click.Context, port: int) -> None:
    """Serve the Stripe emulator until Ctrl-C."""
    if ctx.invoked_subcommand is not None:
        return
    from billing_pipeline.sandbox.stripe_emulator.server import serve

    settings = _emulated()
    private_folder(settings.state_dir)
    click.echo(f"Stripe emulator: export STRIPE_API_BASE=http://127.0.0.1:{port}   (Ctrl-C ends it)")
    serve(settings.state_dir / "stripe.sqlite", port=port)


@emulator.command()
@click.argument("customer")
@click.option("--number", default="4242424242424242", show_default=True, help="One of Stripe's test cards.")
@click.option("--declined", is_flag=True, help="A card that is accepted and then declines every charge.")
def card(customer: str, number: str, declined: bool) -> None:
    """Give CUSTOMER, an id of ours, a card at the emulator; the customer is made there if it is missing.

    The card becomes the one that invoices are charged to. A real Stripe is refused.
    """
    from billing_pipeline.cli.common import open_database
    from billing_pipeline.customers.reading import read_customer
    from billing_pipeline.sandbox.demo.account import StripeAccount
    from billing_pipeline.sandbox.test_cards import DECLINES, payment_method_of
    from billing_pipeline.stripe_gateway.local_emulator import stripe_for

    settings = load_settings()
    if not settings.stripe.uses_emulator:
        raise SettingsError("STRIPE_SECRET_KEY is the key of a Stripe account: only the emulator's customers get cards")
    method = DECLINES if declined else payment_method_of(number)
    known = read_customer(open_database(), customer)
    with stripe_for(settings), StripeAccount(str(load_settings().stripe.api_base)) as account:
        stripe_id = account.give_card(customer, known["name"], known["email"], method, known["stripe_customer_id"])
    click.echo(f"{customer} is {stripe_id} at the emulator and pays by {method}")


@emulator.command()
@click.argument("what")
@click.option("--inquiry", is_flag=True, help="The bank only asks: no money moves.")
@click.option(
    "--ends", type=click.Choice(["won", "lost", "warning_closed"]), help="End a dispute (du_…), an inquiry by the last."
)
def dispute(what: str, inquiry: bool, ends: str | None) -> None:
    """Dispute the payment of WHAT, an invoice's number or id, at the emulator; with --ends it is a dispute's id."""
    from billing_pipeline.cli.common import open_database
    from billing_pipeline.invoicing.invoice_reference import find_invoice
    from billing_pipeline.sandbox.demo.account import StripeAccount
    from billing_pipeline.stripe_gateway.local_emulator import stripe_for

    settings = load_settings()
    if not settings.stripe.uses_emulator:
        raise SettingsError("STRIPE_SECRET_KEY is the key of a Stripe account: only the emulator's banks do that")
    at_stripe = None if ends else find_invoice(open_database(), what).stripe_invoice_id
    with stripe_for(settings), StripeAccount(str(load_settings().stripe.api_base)) as account:
        made = account.end_dispute(what, ends) if ends else account.dispute(str(at_stripe), inquiry=inquiry)
    click.echo(f"{made['id']} is {made['status']} at the emulator")


def _emulated() -> Settings:
    settings = load_settings()
    if is_live_key(settings.stripe.key):
        raise SettingsError("STRIPE_SECRET_KEY is a live key: the emulator never works beside one. Unset it.")
    return settings
