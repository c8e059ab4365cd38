"""`billing links`: addresses that let somebody into the console or a customer into the portal, once."""

import getpass
from datetime import timedelta

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings.pages import PagesSettings

AUTHOR = click.option("--author", default=getpass.getuser, help="Who makes it; default: the user of this system.")
MINUTES = click.option(
    "--minutes", type=click.IntRange(1, 60 * 24 * 7), default=60, show_default=True, help="So long it can be used."
)


@click.group(cls=Group)
def links() -> None:
    """Make links into the console and the portal; each works once."""


@links.command()
@click.option("--owner", required=True, metavar="NAME", help="The author of all that is changed in the session.")
@click.option("--role", required=True, type=click.Choice(["admin", "operator", "analyst"]), help="What it may do.")
@MINUTES
@AUTHOR
def console(owner: str, role: str, minutes: int, author: str) -> None:
    """Print a link into the console."""
    from billing_pipeline.access.links import console_link

    public_url = PagesSettings.load().public_url
    signature = Signature(author, "a link into the console")
    link = console_link(open_database(), signature, owner, role, timedelta(minutes=minutes))
    click.echo(f"{public_url}/console/enter/{link}")


@links.command()
@click.argument("customer_id")
@MINUTES
@AUTHOR
def portal(customer_id: str, minutes: int, author: str) -> None:
    """Print a link into the portal of CUSTOMER_ID."""
    from billing_pipeline.access.links import portal_link

    public_url = PagesSettings.load().public_url
    signature = Signature(author, "a link into the portal")
    link = portal_link(open_database(), signature, customer_id, timedelta(minutes=minutes))
    click.echo(f"{public_url}/portal/enter/{link}")
