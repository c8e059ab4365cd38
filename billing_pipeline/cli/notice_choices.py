"""`billing notices choices …`: further addresses, kinds that are off, addresses that bounced."""

from datetime import datetime

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import CUSTOMER, JSON, signed
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.notice_kinds import KINDS, OPTIONAL
from billing_pipeline.core.signature import Signature

EMAIL = click.argument("email")
KIND = click.argument("kind", type=click.Choice(sorted(OPTIONAL)))
CLOCK = click.DateTime(["%H:%M"])
ADDRESS = click.option("--email", help="Only of this address of the customer.")
OF = click.option("--customer", required=True, metavar="ID", help="Whose notices.")


@click.group(cls=Group)
def choices() -> None:
    """What customers want to be told, and where."""


@choices.command(name="list")
@CUSTOMER
@JSON
def list_(customer: str | None, as_json: bool) -> None:
    """Show further addresses, kinds that are off, hours, and addresses that bounced."""
    from billing_pipeline.notices.choices import list_choices

    print_rows("choices", list_choices(open_database(), customer), as_json=as_json, empty="nobody chose anything")


@choices.command()
@EMAIL
@OF
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only this kind; may be repeated.")
@signed
def add(email: str, customer: str, kinds: tuple[str, ...], signature: Signature) -> None:
    """Tell another address of a customer, too."""
    from billing_pipeline.notices.addresses import add_address

    add_address(open_database(), customer, email, kinds, signature)
    click.echo(f"{email} is told, too")


@choices.command()
@EMAIL
@OF
@signed
def remove(email: str, customer: str, signature: Signature) -> None:
    """Tell a further address nothing more."""
    from billing_pipeline.notices.addresses import remove_address

    remove_address(open_database(), customer, email, signature)
    click.echo(f"{email} is told nothing more")


@choices.command()
@KIND
@CUSTOMER
@signed
def off(kind: str, customer: str | None, signature: Signature) -> None:
    """Mail a kind to nobody any more, or not to one customer."""
    from billing_pipeline.notices.choices import switch_off

    switch_off(open_database(), kind, customer, signature)
    click.echo(f"{kind} is off")


@choices.command()
@KIND
@CUSTOMER
@signed
def on(kind: str, customer: str | None, signature: Signature) -> None:
    """Mail a kind again, also to a customer's addresses that unsubscribed."""
    from billing_pipeline.notices.choices import switch_on

    switch_on(open_database(), kind, customer, signature)
    click.echo(f"{kind} is on")


@choices.command()
@click.argument("begins", type=CLOCK)
@click.argument("ends", type=CLOCK)
@click.option("--weekends", is_flag=True, help="Also on Saturdays and Sundays.")
@CUSTOMER
@ADDRESS
@signed
def hours(
    begins: datetime, ends: datetime, weekends: bool, customer: str | None, email: str | None, signature: Signature
) -> None:
    """Mail what can wait from BEGINS to ENDS in the customer's zone; without --customer to everybody."""
    from billing_pipeline.notices.mail_hours import choose_hours
    from billing_pipeline.notices.rules.sending import Hours

    chosen = Hours(begins.time(), ends.time(), on_weekends=weekends)
    choose_hours(open_database(), customer, email, chosen, signature)
    click.echo(f"what can wait comes from {begins:%H:%M} to {ends:%H:%M}")


@choices.command(name="usual-hours")
@CUSTOMER
@ADDRESS
@signed
def usual_hours(customer: str | None, email: str | None, signature: Signature) -> None:
    """Give chosen hours up: what can wait comes within those that hold otherwise."""
    from billing_pipeline.notices.mail_hours import give_hours_up

    give_hours_up(open_database(), customer, email, signature)
    click.echo("no hours of its own any more")


@choices.command()
@EMAIL
@signed
def bounced(email: str, signature: Signature) -> None:
    """Note that mails to an address come back, or that it complained: nothing is mailed to it any more."""
    from billing_pipeline.notices.addresses import note_bounce

    note_bounce(open_database(), email, signature)
    click.echo(f"nothing is mailed to {email} any more")


@choices.command(name="takes-mail")
@EMAIL
@signed
def takes_mail(email: str, signature: Signature) -> None:
    """An address that bounced takes mails again; `billing notices resend` sends what failed."""
    from billing_pipeline.notices.addresses import forget_bounce

    forget_bounce(open_database(), email, signature)
    click.echo(f"{email} is mailed again")
