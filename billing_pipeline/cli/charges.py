"""`billing charges`: what became of each charge, and which brakes are on. What a person does: charge_decisions."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

import click

from billing_pipeline.charging.rules.charging import STATES
from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import LazyGroup
from billing_pipeline.cli.options import CUSTOMER, JSON, LIMIT, MONTH
from billing_pipeline.cli.output import facts, instant, print_json, print_rows, table
from billing_pipeline.cli.stories import because, print_history, print_stripe_events

SECTIONS = {
    "Look": {"list": "charges:list_command", "show": "charges:show", "status": "charges:status"},
    "Decide about one charge": {
        "retry": "charge_decisions:retry",
        "unpark": "charge_decisions:unpark",
        "write-off": "charge_decisions:write_off",
        "adopt-revision": "charge_decisions:adopt_revision",
    },
    "All charging": {
        "pause": "charge_brakes:pause",
        "resume": "charge_brakes:resume",
        "release": "charge_brakes:release",
        "reconcile": "charge_brakes:reconcile",
    },
}
_LISTED = ("number", "customer_id", "billing_month", "amount_minor", "state", "attempt", "reason", "due_at",
           "stripe_invoice_id")  # fmt: skip


@click.group(cls=LazyGroup, sections=SECTIONS)
def charges() -> None:
    """Look at charges, decide what only a person can, and stop or resume charging."""


@click.command(name="list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(sorted(STATES)), help="Only these; may be repeated."
)
@MONTH
@CUSTOMER
@click.option("--reason-code", metavar="CODE", help="Only those refused or parked for this.")
@LIMIT
@JSON
def list_command(
    states: tuple[str, ...],
    month: date | None,
    customer: str | None,
    reason_code: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List charges, the newest month first."""
    from billing_pipeline.charging.reading import list_charges

    rows = list_charges(open_database(), states, month, reason_code, limit, customer_id=customer)
    if not as_json:
        rows = [{**row, "reason": row["reason_code"] or _unknown(row)} for row in rows]
    print_rows("charges", rows, as_json=as_json, empty="no charges", columns=_LISTED)
    if not as_json and rows:
        click.echo(f"{len(rows)} charge(s)" + (f"; only the first {limit} are shown" if len(rows) == limit else ""))


def _unknown(row: dict[str, Any]) -> str:
    return "outcome unknown" if row["outcome_unknown_since"] else ""


@click.command()
@click.argument("invoice")
@JSON
def show(invoice: str, as_json: bool) -> None:
    """Tell the whole story of INVOICE, an invoice_id or a number: intent, calls, answers, events."""
    from billing_pipeline.charging.operations import invoice_named
    from billing_pipeline.charging.reading import story
    from billing_pipeline.core.money import format_minor

    warehouse = open_database()
    told = story(warehouse, invoice_named(warehouse, invoice))
    charge = told.charge
    if as_json:
        print_json({**charge, "follow_ups": told.follow_ups, "history": told.entries, "events": told.events})
        return
    theirs = f"{charge['stripe_invoice_id'] or 'nothing that we know of'}"
    if charge["stripe_total_minor"] is not None:
        theirs += (
            f", total {format_minor(charge['stripe_total_minor'], charge['stripe_currency'] or charge['currency'])}"
        )
    unknown = charge["outcome_unknown_since"]
    facts(
        [
            ("invoice", f"{charge['number']} ({charge['status']}), {charge['invoice_id']}"),
            (
                "customer",
                f"{charge['customer_id']} {charge['customer_name']}, at Stripe {charge['stripe_customer_id']}",
            ),
            ("month", f"{charge['billing_month']:%Y-%m}"),
            ("amount", format_minor(charge["amount_minor"], charge["currency"])),
            ("charge", f"{charge['state']}, attempt {charge['attempt']}" + because(charge)),
            ("at Stripe", theirs),
            ("intent", f"{instant(charge['created_at'])}, run {charge['run_id']}"),
            ("request", f"{charge['request_bytes']} bytes, SHA-256 {charge['request_sha256']}"),
            *([("unknown", f"the outcome of a call, since {instant(unknown)}")] if unknown else []),
            *(
                (
                    f"next {follow_up['kind']}",
                    f"{instant(follow_up['due_at']) or 'not by itself'}: {follow_up['cause']}",
                )
                for follow_up in told.follow_ups
            ),
        ]
    )
    print_history(told.entries)
    print_stripe_events(told.events)


@click.command()
@JSON
def status(as_json: bool) -> None:
    """Say which brakes are on, and what is waiting."""
    from billing_pipeline.books.months import overdue_months
    from billing_pipeline.charging.another_customer import customers_to_relink
    from billing_pipeline.charging.brakes import read_brakes
    from billing_pipeline.charging.reading import count_charges
    from billing_pipeline.corrections.revisions import voids_to_decide
    from billing_pipeline.settings import load_settings

    warehouse = open_database()
    brakes, rows, voids = read_brakes(warehouse), count_charges(warehouse), voids_to_decide(warehouse)
    gone = customers_to_relink(warehouse)
    overdue = overdue_months(warehouse, datetime.now(UTC), load_settings().charging.charged_within_days)
    if as_json:
        print_json(
            {
                "brakes": [{"code": brake.code, "says": brake.says} for brake in brakes.on()],
                "needs_reconciliation": brakes.needs_reconciliation,
                "changed_by": brakes.changed_by,
                "changed_at": brakes.changed_at,
                "reason": brakes.reason,
                "charges": rows,
                "overdue_months": [asdict(month) for month in overdue],
                "voids_to_decide": voids,
                "customers_to_relink": gone,
            }
        )
        return
    for brake in brakes.on():
        click.echo(f"brake on: {brake}")
    if not brakes.on():
        click.echo("no brake is on")
    if brakes.needs_reconciliation:
        click.echo("`billing charges reconcile` compares with Stripe and resumes when all is well")
    click.echo(f"switched last by {brakes.changed_by} at {instant(brakes.changed_at)}: {brakes.reason}")
    for month in overdue:
        click.echo(f"month {month}; `billing months list`")
    for void in voids:
        click.echo(
            f"{void['number']} of customer {void['customer_id']}: {void['reason']}. Decide:"
            f" `billing charges adopt-revision {void['number']}`,"
            f" `billing void {void['number']} --rebill` or `--no-rebill`"
        )
    for customer in gone:
        click.echo(
            f"customer {customer['customer_id']}: {customer['stripe_customer_id']} is gone at Stripe,"
            f" {customer['unfinished_charges']} charge(s) wait. Give it another one:"
            f" `billing customers relink {customer['customer_id']}`"
        )
    table([{"state": r["state"], "reason": r["reason_code"], "charges": r["charges"]} for r in rows], "no charges")
