"""`billing credit`: take back a part of a final invoice."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_pipeline.cli.common import minor_units, open_database, open_stripe
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import AUTHOR, CUSTOMER, JSON, signed
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature

if TYPE_CHECKING:
    from billing_pipeline.corrections.credit_note_pass import Sent
    from billing_pipeline.corrections.rules.crediting import CreditLine


@click.group(cls=Group)
def credit() -> None:
    """Issue credit notes, here and at Stripe."""


@credit.command()
@click.argument("invoice")
@click.option("--amount", help="How much, in the invoice's currency. Default: all that is left of it.")
@click.option("--line", "lines", multiple=True, metavar="NO=AMOUNT", help="How much off a line of it; may be repeated.")
@click.option(
    "--to",
    type=click.Choice(["refund", "balance", "elsewhere"]),
    default="refund",
    show_default=True,
    help="Where paid money goes: back to the card, to the customer's balance, or back outside Stripe, by you.",
)
@signed
def issue(invoice: str, amount: str | None, lines: tuple[str, ...], to: str, signature: Signature) -> None:
    """Credit INVOICE, a number or an id. What is still due falls first; what was paid goes back."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections.credit_notes import issue_credit_note
    from billing_pipeline.invoicing.invoice_reference import find_invoice

    if amount is not None and lines:
        raise UserError("expected either --amount or --line")
    warehouse = open_database()
    currency = find_invoice(warehouse, invoice).currency
    with open_stripe() as api:
        done = issue_credit_note(
            warehouse,
            api,
            invoice,
            signature,
            amount_minor=None if amount is None else minor_units("--amount", amount, currency),
            lines=[_line(text, signature.reason, currency) for text in lines],
            to=to,
        )
    parts = {
        "less to pay": done.parts.reduction_minor,
        "refunded": done.parts.refund_minor,
        "to the balance": done.parts.balance_minor,
        "to be paid back outside Stripe": done.parts.elsewhere_minor,
    }
    shown = ", ".join(f"{format_minor(value, currency)} {name}" for name, value in parts.items() if value)
    click.echo(f"{done.number} credits {done.invoice.label} with {format_minor(done.amount_minor, currency)}: {shown}")
    _report([done.sent])


@credit.command()
@AUTHOR
def send(author: str) -> None:
    """Go on with every credit note that has no definite answer from Stripe yet."""
    from billing_pipeline.corrections.credit_note_sending import send_pending

    warehouse = open_database()
    with open_stripe() as api:
        sent = send_pending(warehouse, api, actor=author)
    if not sent:
        click.echo("no credit note is waiting")
    _report(sent)


@credit.command()
@click.argument("number")
@signed
def retry(number: str, signature: Signature) -> None:
    """Send the parked credit note NUMBER again, such as CN-00000001."""
    from billing_pipeline.corrections.credit_note_decisions import retry_parked

    warehouse = open_database()
    with open_stripe() as api:
        sent = retry_parked(warehouse, api, number, signature)
    _report([sent])


@credit.command()
@click.argument("number")
@signed
def drop(number: str, signature: Signature) -> None:
    """Let the parked credit note NUMBER go: it counts for nothing."""
    from billing_pipeline.corrections.credit_note_decisions import drop_parked

    warehouse = open_database()
    with open_stripe() as api:
        drop_parked(warehouse, api, number, signature)
    click.echo(f"{number.strip().upper()} is dropped: it credits nothing and keeps its number")


@credit.command(name="list")
@click.option("--parked", is_flag=True, help="Only those that wait for a person.")
@CUSTOMER
@JSON
def list_(parked: bool, customer: str | None, as_json: bool) -> None:
    """Show the credit notes, newest first."""
    from billing_pipeline.corrections.reading import list_credit_notes

    rows = list_credit_notes(open_database(), parked=parked, customer_id=customer)
    columns = ("number", "invoice_number", "customer_id", "amount_minor", "state", "reason_code", "author", "reason")
    print_rows("credit_notes", rows, as_json=as_json, empty="no credit notes", columns=columns)


@credit.command()
@click.option("--all", "settled", is_flag=True, help="Also those that are settled.")
@JSON
def refunds(settled: bool, as_json: bool) -> None:
    """Show refunds that failed at Stripe, whose money the customer does not have yet. Exit status 1 if there are."""
    from billing_pipeline.corrections.failed_refunds import failed_refunds

    found = failed_refunds(open_database(), settled=settled)
    print_rows("refunds", [asdict(one) for one in found], as_json=as_json, empty="no refund failed")
    if any(one.state != "settled" for one in found):
        click.echo("`billing credit repay REFUND` gives the customer the money", err=True)
        sys.exit(1)


@credit.command()
@click.argument("refund")
@click.option(
    "--to",
    type=click.Choice(["balance", "card", "elsewhere"]),
    required=True,
    help="The customer's balance at Stripe, the same card once more, or paid outside Stripe: say how in --reason.",
)
@signed
def repay(refund: str, to: str, signature: Signature) -> None:
    """Give the customer the money of REFUND (re_…), which failed."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections import failed_refunds

    warehouse = open_database()
    with open_stripe() as api:
        done = failed_refunds.repay(warehouse, api, refund, to=to, signature=signature)
    made = f": {done.stripe_id}" if done.stripe_id else ""
    click.echo(f"{format_minor(done.amount_minor, done.currency)} of {refund} repaid to {done.method}{made}")


def _line(text: str, reason: str, currency: str) -> "CreditLine":
    from billing_pipeline.corrections.rules.crediting import CreditLine

    number, equals, amount = text.partition("=")
    if not equals or not number.isdecimal():
        raise UserError(f'--line "{text}": expected a line number and an amount such as 2=12.50')
    return CreditLine(reason, minor_units("--line", amount, currency), int(number))


def _report(sent: "list[Sent]") -> None:
    for one in sent:
        if one.state == "issued":
            click.echo(f"{one.number} is issued at Stripe")
        elif one.pending:
            click.echo(f"{one.number} waits ({one.reason_code}): `billing credit send` goes on with it", err=True)
        else:
            click.echo(f"Error: {one.number} is {one.state}: {one.reason_code}: {one.reason}", err=True)
    if any(one.state != "issued" for one in sent):
        sys.exit(1)
