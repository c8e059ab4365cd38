"""`billing invoices`: what customers are billed, the whole story of one invoice, and one-off invoices."""

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import minor_units, open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import CUSTOMER, JSON, LIMIT, MONTH, signed
from billing_pipeline.cli.output import facts, print_json, print_rows, table
from billing_pipeline.cli.stories import because, print_history, print_stripe_events
from billing_pipeline.core.signature import Signature

if TYPE_CHECKING:
    from billing_pipeline.books.invoice_story import InvoiceStory

STATUS = click.Choice(["draft", "open", "paid", "void", "uncollectible"])


@click.group(cls=Group)
def invoices() -> None:
    """Look at invoices, drafts too; bill an amount at once."""


@invoices.command(name="list")
@MONTH
@CUSTOMER
@click.option("--status", type=STATUS, help="Only these.")
@LIMIT
@JSON
def list_command(month: date | None, customer: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """List invoices, the newest month first."""
    from billing_pipeline.invoicing.reading import list_invoices

    rows = list_invoices(open_database(), month=month, customer_id=customer, status=status, limit=limit)
    if as_json:
        print_json({"invoices": rows})
        return
    shown = [{"invoice": row["number"] or f"draft {row['invoice_id']}", **row} for row in rows]
    columns = ("invoice", "customer_id", "customer_name", "billing_month", "total_minor", "status", "charge_state",
               "reason_code")  # fmt: skip
    print_rows("invoices", shown, as_json=False, empty="no invoices", columns=columns)
    if rows:
        click.echo(f"{len(rows)} invoice(s)" + (f"; only the first {limit} are shown" if len(rows) == limit else ""))


@invoices.command()
@click.argument("invoice")
@JSON
def show(invoice: str, as_json: bool) -> None:
    """Show INVOICE, a number or an id: lines, payments, refunds, disputes, credit notes, and what happened to it."""
    from billing_pipeline.books.invoice_story import invoice_story

    story = invoice_story(open_database(), invoice)
    if as_json:
        parts = asdict(story)
        print_json({**parts.pop("invoice"), **parts})
        return
    _print(story)


@invoices.command()
@click.argument("customer")
@click.option("--amount", required=True, help="In the customer's currency, such as 250.00.")
@click.option("--description", help="Text that the customer reads. Default: the reason.")
@signed
@JSON
def create(customer: str, amount: str, description: str | None, signature: Signature, as_json: bool) -> None:
    """Draft an invoice of its own over a one-off amount; `billing adjust` puts it on the next invoice instead."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections.adjusting import currency_of
    from billing_pipeline.corrections.one_off_invoices import bill_at_once

    warehouse = open_database()
    minor = minor_units("--amount", amount, currency_of(warehouse, customer))
    made = bill_at_once(warehouse, customer, minor, signature, description=description)
    if as_json:
        print_json({"invoice_id": made.invoice_id, "billing_month": made.billing_month, **asdict(made.billed)})
        return
    click.echo(f"draft {made.invoice_id} over {format_minor(made.billed.amount_minor, made.billed.currency)}")
    click.echo(f"`billing run --month {made.billing_month:%Y-%m}` finalises and charges it")


def _print(story: "InvoiceStory") -> None:
    from billing_pipeline.core.money import format_minor

    row = story.invoice
    charge = {"reason_code": row["reason_code"], "reason": row["reason"]}
    credited: list[tuple[str, Any]] = []
    if row["credited_minor"]:
        credited = [("credited", format_minor(row["credited_minor"], row["currency"]))]
    facts(
        [
            ("invoice", f"{row['number'] or 'draft'} ({row['status']}), {row['invoice_id']}"),
            ("customer", f"{row['customer_id']} {row['customer_name']}"),
            ("month", f"{row['billing_month']:%Y-%m}: {row['period_from']} to {row['period_to']} in {row['timezone']}"),
            ("total", format_minor(row["total_minor"], row["currency"])),
            *credited,
            ("charge", f"{row['charge_state']}{because(charge)}" if row["charge_state"] else "none yet"),
            ("at Stripe", row["stripe_invoice_id"] or "nothing that we know of"),
        ]
    )
    click.echo("")
    lines = [
        {name: line[name] for name in ("line_no", "description", "quantity", "unit_amount", "amount_minor", "currency")}
        for line in story.lines
    ]
    table(lines, "no lines")
    for title, rows, columns in (
        ("payments", story.payments, ("payment_id", "status", "requested_minor", "paid_minor", "paid_at")),
        ("refunds", story.refunds, ("refund_id", "status", "amount_minor", "created_at")),
        ("disputes", story.disputes, ("dispute_id", "status", "taken_back_minor", "decision", "created_at")),
        ("credit notes", story.credit_notes, ("number", "state", "amount_minor", "author", "reason")),
    ):
        if rows:
            click.echo(f"\n{title}")
            print_rows(title, rows, as_json=False, empty="", columns=columns)
    print_history(story.history)
    print_stripe_events(story.events)
