"""`billing audit`: the chain over every change of a row that money depends on."""

import sys

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON
from billing_pipeline.cli.output import print_json


@click.group(cls=Group)
def audit() -> None:
    """Check that nobody changed the books past the database's rules."""


@audit.command()
@click.option("--head", "kept", metavar="HEAD", help="A head that was kept elsewhere: the chain must still have it.")
@JSON
def verify(kept: str | None, as_json: bool) -> None:
    """Check the chain, every row against it, final invoices against their seals. Exit status 1 if one does not fit."""
    from billing_pipeline.books.audit_chain import Head
    from billing_pipeline.books.audit_chain import verify as verify_chain

    expected = Head.read(kept) if kept is not None else None
    found = verify_chain(open_database(), expected)
    for problem in found.problems:
        click.echo(problem, err=True)
    if as_json:
        print_json(
            {
                "sealed": found.head.seal_no,
                "unsealed": found.unsealed,
                "head": str(found.head),
                "problems": found.problems,
            }
        )
    else:
        click.echo(
            f"{found.head.seal_no:,} sealed entries, {found.unsealed:,} not yet; {len(found.problems):,} problem(s)"
        )
    if found.problems:
        sys.exit(1)


@audit.command()
@JSON
def head(as_json: bool) -> None:
    """Seal what is not sealed and print the newest seal: keep it where nobody with this database can change it."""
    from billing_pipeline.books.audit_chain import head as read_head
    from billing_pipeline.books.audit_chain import seal

    warehouse = open_database()
    seal(warehouse)
    with warehouse.transaction() as connection:
        newest = read_head(connection)
    if as_json:
        print_json({"seal_no": newest.seal_no, "seal": newest.seal, "head": str(newest)})
        return
    click.echo(str(newest))
