"""`billing settle`: turn the drift of billed months into documents, on purpose."""

import sys
from datetime import date

import click

from billing_pipeline.cli.common import minor_units, open_database, open_stripe
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import AUTHOR, JSON, MONTH, THE_MONTH, signed
from billing_pipeline.cli.output import print_json, print_rows, table
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature


@click.group(cls=Group)
def settle() -> None:
    """Settle what billed months differ by: propose, look, approve, run."""


@settle.command(name="propose")
@THE_MONTH
@AUTHOR
def propose_command(month: date, author: str) -> None:
    """Propose settlements for the month's drift, as its last run left it."""
    from billing_pipeline.corrections.settlement_proposals import propose

    warehouse = open_database()
    done = propose(warehouse, month, author=author)
    click.echo(
        f"{month:%Y-%m}: {done.new} proposed, {done.standing} stand as they were, {done.withdrawn} withdrawn,"
        f" {done.left_alone} left alone by policy"
    )


@settle.command(name="list")
@MONTH
@click.option("--all", "ended", is_flag=True, help="Also what was applied or withdrawn.")
@JSON
def list_(month: date | None, ended: bool, as_json: bool) -> None:
    """Show settlements, and who still has to approve."""
    from billing_pipeline.corrections.reading import list_settlements

    rows = list_settlements(open_database(), month, ended=ended)
    if not as_json:
        rows = [
            {**row, "why": row["reasons"], "approvals": f"{len(row['approved_by'])}/{row['approvals_needed']}",
             "by": ", ".join(row["approved_by"])}
            for row in rows
        ]  # fmt: skip
    columns = ("settlement_id", "billing_month", "customer_id", "amount_minor", "method", "status", "why", "approvals",
               "by")  # fmt: skip
    print_rows("settlements", rows, as_json=as_json, empty="no settlements are open", columns=columns)


@settle.command(name="show")
@click.argument("settlement", type=int)
@JSON
def show(settlement: int, as_json: bool) -> None:
    """Show the lines behind SETTLEMENT, as they were when it was proposed."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections.reading import read_settlement

    row = read_settlement(open_database(), settlement)
    if as_json:
        print_json(row)
        return
    lines = [
        {
            "meter": line["meter"],
            "dimensions": ", ".join(line["dimensions"].values()),
            "billed_minor": line["billed_minor"],
            "today_minor": line["today_minor"],
            "difference_minor": line["difference_minor"],
            "currency": row["currency"],
            "reason": line["reason"],
        }
        for line in row["lines"]
    ]
    table(lines, "today gives what was billed")
    settled = format_minor(row["settled_minor"], row["currency"])
    click.echo(f"settled before: {settled}; proposed: {format_minor(row['amount_minor'], row['currency'])}")


@settle.command(name="approve")
@click.argument("settlement", type=int)
@AUTHOR
def approve_command(settlement: int, author: str) -> None:
    """Approve SETTLEMENT, a number of `billing settle list`."""
    from billing_pipeline.corrections.settlement_proposals import approve

    status = approve(open_database(), settlement, author=author)
    more = "" if status == "approved" else "; it needs somebody else's approval too"
    click.echo(f"settlement {settlement} is {status}{more}")


@settle.command(name="withdraw")
@click.argument("settlement", type=int)
@signed
def withdraw_command(settlement: int, signature: Signature) -> None:
    """Withdraw SETTLEMENT; its difference can be proposed again."""
    from billing_pipeline.corrections.settlement_proposals import withdraw

    withdraw(open_database(), settlement, signature)
    click.echo(f"settlement {settlement} is withdrawn")


@settle.command(name="run")
@AUTHOR
def run_command(author: str) -> None:
    """Carry out what is approved, and go on with what an earlier run left at Stripe."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections.settling import run_settlements

    warehouse = open_database()
    with open_stripe() as api:
        report = run_settlements(warehouse, api, author=author)
    for one in report.settled:
        what = f"settlement {one.settlement_id}, {one.customer_id}, {format_minor(one.amount_minor, one.currency)}"
        if one.waits:
            click.echo(f"Error: {what}: {one.waits}", err=True)
        else:
            click.echo(f"{what}: {', '.join(one.documents)}")
    for sent in report.sent:
        click.echo(f"{sent.number}: {sent.state}" + (f" ({sent.reason_code})" if sent.reason_code else ""))
    for month in report.months_to_charge:
        click.echo(f"`billing run --month {month}` finalises and charges its supplementary invoices")
    if not report.settled and not report.sent:
        click.echo("nothing is approved")
    if any(one.waits for one in report.settled) or any(sent.state != "issued" for sent in report.sent):
        sys.exit(1)


@settle.command(name="policy")
@click.option("--book", metavar="CURRENCY", help="The price book in this currency.")
@click.option("--customer", help="A customer; comes before its book.")
@click.option(
    "--method",
    type=click.Choice(["ignore", "next_invoice", "at_once"]),
    required=True,
    help="at_once is a credit note, or a supplementary invoice.",
)
@click.option(
    "--pay-back",
    type=click.Choice(["refund", "balance"]),
    default="refund",
    show_default=True,
    help="Where paid money goes.",
)
@click.option("--threshold", default="0.01", show_default=True, help="Leave smaller differences alone.")
@click.option("--two-people-above", default="1000", show_default=True, help="Above this, two people approve.")
@AUTHOR
def policy_command(
    book: str | None,
    customer: str | None,
    method: str,
    pay_back: str,
    threshold: str,
    two_people_above: str,
    author: str,
) -> None:
    """Say what is done about the drift of a book's customers, or of one customer."""
    from billing_pipeline.corrections.adjusting import currency_of
    from billing_pipeline.corrections.settlement_proposals import set_policy

    if (book is None) == (customer is None):
        raise UserError("expected either --book or --customer")
    warehouse = open_database()
    currency = book or currency_of(warehouse, str(customer))
    set_policy(
        warehouse,
        "book" if book else "customer",
        str(book or customer),
        method=method,
        pay_back=pay_back,
        threshold_minor=minor_units("--threshold", threshold, currency),
        two_people_above_minor=minor_units("--two-people-above", two_people_above, currency),
        author=author,
    )
    click.echo(f"{book or customer}: {method} from {threshold} on, two people above {two_people_above}")
