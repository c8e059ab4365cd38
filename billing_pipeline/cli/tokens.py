"""`billing tokens`: who may come in by the API."""

import getpass

import click

from billing_pipeline.access.rules.permissions import Role
from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, LIMIT, REASON
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.signature import Signature

AUTHOR = click.option("--author", default=getpass.getuser, help="Who does it; default: the user of this system.")


@click.group(cls=Group)
def tokens() -> None:
    """Make, list, rotate and revoke tokens of the API."""


@tokens.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What it may do.")
@click.option("--owner", required=True, metavar="NAME", help="The author of all that is changed with it.")
@click.option("--customer", metavar="ID", help="For role customer: whose rows it sees.")
@click.option("--scope", "scopes", multiple=True, help="Only this, or one that may be granted; may be repeated.")
@click.option("--expires", metavar="DAYS", type=click.IntRange(1, 3650), help="Default: it holds until revoked.")
@AUTHOR
@click.option("--reason", default="a token for the API", show_default=True, help="Why; kept in the audit log.")
def create(
    role: str,
    owner: str,
    customer: str | None,
    scopes: tuple[str, ...],
    expires: int | None,
    author: str,
    reason: str,
) -> None:
    """Make a token and print it; it is not shown again."""
    from billing_pipeline.access.tokens import create_token

    made = create_token(
        open_database(),
        Role(role),
        owner,
        Signature(author, reason),
        customer_id=customer,
        scopes=scopes,
        expires_days=expires,
    )
    click.echo(made.text)


@tokens.command(name="list")
@LIMIT
@JSON
def list_(limit: int, as_json: bool) -> None:
    """List tokens without their secrets, the newest first."""
    from billing_pipeline.access.tokens import list_tokens

    rows = list_tokens(open_database(), limit=limit)
    columns = ("token_id", "state", "role", "owner", "customer_id", "expires_at", "last_used_at")
    print_rows("tokens", rows, as_json=as_json, empty="no tokens", columns=columns)


@tokens.command()
@click.argument("token")
@click.option("--grace", metavar="HOURS", default=0, show_default=True, help="So long the old one goes on to hold.")
@AUTHOR
@REASON
def rotate(token: str, grace: int, author: str, reason: str) -> None:
    """Replace TOKEN, an id of `billing tokens list`, by a new one of the same rights, and print that."""
    from billing_pipeline.access.tokens import rotate_token

    click.echo(rotate_token(open_database(), token, Signature(author, reason), grace_hours=grace).text)


@tokens.command()
@click.argument("token")
@AUTHOR
@REASON
def revoke(token: str, author: str, reason: str) -> None:
    """Let TOKEN, an id of `billing tokens list`, in no more."""
    from billing_pipeline.access.tokens import revoke_token

    done = revoke_token(open_database(), token, Signature(author, reason))
    click.echo(f"token {token} {'lets nobody in any more' if done else 'was revoked already'}")
