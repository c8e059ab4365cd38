"""`billing operators`: who may ask for a link into the console by mail."""

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, signed
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.signature import Signature

EMAIL = click.argument("email")


@click.group(cls=Group)
def operators() -> None:
    """Who may ask for a link into the console by mail."""


@operators.command(name="list")
@JSON
def list_(as_json: bool) -> None:
    """Show who may."""
    from billing_pipeline.access.operators import list_operators

    print_rows("operators", list_operators(open_database()), as_json=as_json, empty="nobody may ask for links")


@operators.command()
@EMAIL
@click.option("--owner", required=True, metavar="NAME", help="The author of all that is changed in the sessions.")
@click.option("--role", required=True, type=click.Choice(["admin", "operator", "analyst"]), help="What it may do.")
@signed
def add(email: str, owner: str, role: str, signature: Signature) -> None:
    """Let EMAIL ask for links."""
    from billing_pipeline.access.operators import add_operator

    add_operator(open_database(), email, owner, role, signature)
    click.echo(f"{email} may ask for links as {owner}, {role}")


@operators.command()
@EMAIL
@signed
def remove(email: str, signature: Signature) -> None:
    """Let EMAIL ask no more; its sessions end."""
    from billing_pipeline.access.operators import remove_operator

    remove_operator(open_database(), email, signature)
    click.echo(f"{email} is let in no more")
