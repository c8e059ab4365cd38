"""`billing customers`: who is billed, and all that happened to one of them."""

from typing import Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, LIMIT
from billing_pipeline.cli.output import facts, print_json, print_rows

KIND = click.Choice(["customer", "period", "invoice", "payment", "correction", "hold", "audit"])


@click.group(cls=Group)
def customers() -> None:
    """Look at customers and their time line."""


@customers.command(name="list")
@click.option("--status", type=click.Choice(["active", "on_hold", "inactive"]), help="Only these.")
@click.option("--search", metavar="TEXT", help="Only those whose id, name or email holds this text.")
@LIMIT
@JSON
def list_command(status: str | None, search: str | None, limit: int, as_json: bool) -> None:
    """List customers by their id."""
    from billing_pipeline.customers.reading import list_customers

    rows = list_customers(open_database(), status=status, search=search, limit=limit)
    if as_json:
        print_json({"customers": rows})
        return
    shown = [{**row, "billed_in": row["currency"]} for row in rows]
    columns = ("customer_id", "name", "email", "billed_in", "timezone", "billing_cycle", "status", "stripe_customer_id")
    print_rows("customers", shown, as_json=False, empty="no customers", columns=columns)
    if rows:
        click.echo(f"{len(rows)} customer(s)" + (f"; only the first {limit} are shown" if len(rows) == limit else ""))


@customers.command()
@click.argument("customer")
@click.option("--kind", "kinds", multiple=True, type=KIND, help="Only entries of this kind; may be repeated.")
@JSON
def show(customer: str, kinds: tuple[str, ...], as_json: bool) -> None:
    """Show CUSTOMER, an id, and all that happened: periods, invoices, payments, corrections, holds, audit entries."""
    from billing_pipeline.books.customer_timeline import customer_timeline

    told = customer_timeline(open_database(), customer, kinds)
    if as_json:
        print_json({**told.customer, "timeline": told.entries})
        return
    facts([(name, "" if value is None else _fact(value)) for name, value in told.customer.items()])
    click.echo("")
    print_rows("timeline", told.entries, as_json=False, empty="nothing happened yet", columns=_COLUMNS)


_COLUMNS = ("occurred_at", "kind", "what", "invoice", "amount_minor", "actor", "reason")


def _fact(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "hour") else str(value)
