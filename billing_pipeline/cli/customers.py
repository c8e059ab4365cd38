"""`billing customers`: who is billed, and all that happened to one of them."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from billing_pipeline.cli.common import WAITS_FOR_A_PERSON, open_database, open_stripe
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, LIMIT, signed
from billing_pipeline.cli.output import facts, print_json, print_rows
from billing_pipeline.core.signature import Signature

KIND = click.Choice(
    [
        "customer", "contract", "period", "invoice", "payment", "correction", "hold", "notice", "standing", "event",
        "audit",
    ]
)  # fmt: skip


@click.group(cls=Group)
def customers() -> None:
    """Look at customers and their time line; start, change and end their contracts; relink one at Stripe."""


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
    from billing_pipeline.customers.contracts import contracts_of

    warehouse = open_database()
    told = customer_timeline(warehouse, customer, kinds)
    contracts = contracts_of(warehouse, customer)
    if as_json:
        print_json({**told.customer, "contracts": contracts, "timeline": told.entries})
        return
    facts([(name, "" if value is None else _fact(value)) for name, value in told.customer.items()])
    _show_contracts(customer, contracts)
    click.echo("")
    print_rows("timeline", told.entries, as_json=False, empty="nothing happened yet", columns=_COLUMNS)


_DAY = click.DateTime(["%Y-%m-%d"])


def _on(command: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option("--on", type=_DAY, required=True, help="The day in the customer's zone: 2026-10-20.")
    return click.argument("customer")(option(signed(command)))


@customers.command()
@_on
@click.option("--plan", help="Plan of the price book; without it the plan stays as it is.")
@click.option("--trial-until", type=_DAY, help="Last day of its trial; without it, as long as the plan says.")
def start(customer: str, on: datetime, plan: str | None, trial_until: datetime | None, signature: Signature) -> None:
    """Bill CUSTOMER from this day on; a contract that runs, or comes next, starts on it instead."""
    from billing_pipeline.customers.contracts import start_contract

    until = trial_until and trial_until.date()
    done = start_contract(open_database(), customer, on.date(), signature, plan=plan, trial_until=until)
    _show_contracts(customer, done)


@customers.command()
@_on
@click.option("--until", type=_DAY, help="Last day of the trial; without it there is none.")
def trial(customer: str, on: datetime, until: datetime | None, signature: Signature) -> None:
    """Change the trial of the contract that CUSTOMER has on this day."""
    from billing_pipeline.customers.contracts import set_trial

    _show_contracts(customer, set_trial(open_database(), customer, on.date(), until and until.date(), signature))


@customers.command()
@_on
def end(customer: str, on: datetime, signature: Signature) -> None:
    """Make this the last day that CUSTOMER is billed for."""
    from billing_pipeline.customers.contracts import end_contract

    _show_contracts(customer, end_contract(open_database(), customer, on.date(), signature))


@customers.command()
@_on
@click.option("--to", "plan", help="Plan of the price book; without it the prices that hold for all.")
def plan(customer: str, on: datetime, plan: str | None, signature: Signature) -> None:
    """Change the plan of CUSTOMER from this day on; the last change of a day holds."""
    from billing_pipeline.customers.contracts import change_plan

    _show_contracts(customer, change_plan(open_database(), customer, on.date(), plan, signature))


@customers.command()
@_on
def pause(customer: str, on: datetime, signature: Signature) -> None:
    """Bill CUSTOMER nothing from this day on, until resumed."""
    from billing_pipeline.customers.contracts import pause_contract

    _show_contracts(customer, pause_contract(open_database(), customer, on.date(), signature))


@customers.command()
@_on
def resume(customer: str, on: datetime, signature: Signature) -> None:
    """Bill CUSTOMER again from this day on, on the plan of before."""
    from billing_pipeline.customers.contracts import resume_contract

    _show_contracts(customer, resume_contract(open_database(), customer, on.date(), signature))


@customers.command()
@_on
def withdraw(customer: str, on: datetime, signature: Signature) -> None:
    """Take back what was to hold for CUSTOMER from exactly this day on."""
    from billing_pipeline.customers.contracts import withdraw_change

    _show_contracts(customer, withdraw_change(open_database(), customer, on.date(), signature))


@customers.command()
@click.argument("customer")
@click.option("--to", metavar="cus_…", help="A customer that is at Stripe. Default: one with our key, or a new one.")
@signed
@JSON
def relink(customer: str, to: str | None, signature: Signature, as_json: bool) -> None:
    """Give CUSTOMER another customer at Stripe, after the one before was deleted there. Its charges go on.

    Exit status 3 if something of it is left for a person.
    """
    from billing_pipeline.corrections.relink_customer import relink_customer

    warehouse = open_database()
    with open_stripe() as api:
        done = relink_customer(warehouse, api, customer, signature, to=to)
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(
            f"customer {customer} is {done.now} at Stripe" + (f", was {done.before}" * (done.before != done.now))
        )
        for number in done.going_on:
            click.echo(
                f"{number} begins anew there with the next run of its month, or `billing charges retry {number}`"
            )
        for one in done.billed_again:
            click.echo(
                f"{one.number} is void: it was issued to the customer that is gone;"
                f" `billing run --month {one.billing_month:%Y-%m}` bills its period again"
            )
        for number, why in done.left.items():
            click.echo(f"{number}: {why}", err=True)
    if done.left:
        sys.exit(WAITS_FOR_A_PERSON)


def _show_contracts(customer: str, rows: list[dict[str, Any]]) -> None:
    click.echo(f"customer {customer} is billed:" if rows else f"customer {customer} is not billed")
    for row in rows:
        until = "on" if row["ends_on"] is None else f"to {row['ends_on']}"
        plan = "" if row["plan"] is None else f", plan {row['plan']}"
        plan += ", trial" * row["in_trial"]
        inferred = " (nobody said when it starts)" if row["start_inferred"] else ""
        click.echo(f"  from {row['starts_on']} {until}{plan}{inferred}")


_COLUMNS = ("occurred_at", "kind", "what", "invoice", "amount_minor", "actor", "reason")


def _fact(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "hour") else str(value)
