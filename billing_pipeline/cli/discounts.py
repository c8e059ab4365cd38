"""`billing discounts`: coupons, and what customers were granted by them."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, signed
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.signature import Signature


class Exact(click.ParamType[Decimal]):
    """A decimal above 0 as it was typed."""

    name = "DECIMAL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """The exact decimal."""
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal(0)
        if not number.is_finite() or number <= 0:
            self.fail(f"{value!r}: expected a decimal above 0 such as 12.50", param, ctx)
        return number


DAY = click.DateTime(["%Y-%m-%d"])
OF = click.option("--customer", required=True, metavar="ID", help="The customer.")


@click.group(cls=Group)
def discounts() -> None:
    """Coupons: make them, grant them to customers, look at what they took off."""


@discounts.command()
@click.argument("coupon")
@click.option("--currency", required=True, help="Of the invoices that it is for, such as usd.")
@click.option("--percent", type=Exact(), help="Share that it takes off.")
@click.option("--amount", type=Exact(), help="What it takes off a full period.")
@click.option("--meter", "meters", multiple=True, help="Only off this meter; may be repeated.")
@click.option("--periods", type=click.IntRange(min=1), help="Only so many invoices of each customer.")
@click.option("--customers", type=click.IntRange(min=1), help="Only so many customers.")
@click.option("--redeem-until", type=DAY, help="Last day on which it is granted.")
@click.option("--description", help="Begins the text of the line, instead of the code.")
@signed
def create(
    coupon: str,
    currency: str,
    percent: Decimal | None,
    amount: Decimal | None,
    meters: tuple[str, ...],
    periods: int | None,
    customers: int | None,
    redeem_until: datetime | None,
    description: str | None,
    signature: Signature,
) -> None:
    """Make COUPON, a code."""
    from billing_pipeline.pricing.discounts import Coupon, create_coupon

    new = Coupon(
        coupon=coupon,
        currency=currency,
        amount=amount,
        percent=percent,
        meters=meters or None,
        description=description,
        periods_max=periods,
        redemptions_max=customers,
        redeem_until=redeem_until.date() if redeem_until else None,
    )
    create_coupon(open_database(), new, signature)
    click.echo(f"coupon {coupon} is made; `billing discounts grant {coupon} --customer ID` grants it")


@discounts.command()
@click.argument("coupon")
@OF
@click.option("--from", "from_on", type=DAY, help="First day of periods that have it. Default: this month's first.")
@click.option("--until", type=DAY, help="Last day on which a period may start that has it.")
@signed
def grant(coupon: str, customer: str, from_on: datetime | None, until: datetime | None, signature: Signature) -> None:
    """Grant COUPON to a customer."""
    from billing_pipeline.pricing.discounts import grant_coupon

    first = from_on.date() if from_on else datetime.now(UTC).date().replace(day=1)
    last: date | None = until.date() if until else None
    grant_coupon(open_database(), coupon, customer, signature, from_on=first, until_on=last)
    click.echo(f"customer {customer} has {coupon} for periods that start from {first}")


@discounts.command()
@click.argument("coupon")
@OF
@click.option("--on", type=DAY, required=True, help="Last day on which a period may start that has it.")
@signed
def end(coupon: str, customer: str, on: datetime, signature: Signature) -> None:
    """End what a customer was granted by COUPON; what is billed stays."""
    from billing_pipeline.pricing.discounts import end_discount

    end_discount(open_database(), coupon, customer, on.date(), signature)
    click.echo(f"customer {customer} has {coupon} for no period that starts after {on.date()}")


@discounts.command(name="list")
@JSON
def list_(as_json: bool) -> None:
    """Show the coupons."""
    from billing_pipeline.pricing.discounts import coupons

    print_rows("discounts", coupons(open_database()), as_json=as_json, empty="there is no coupon")


@discounts.command()
@click.argument("coupon")
@JSON
def show(coupon: str, as_json: bool) -> None:
    """Show who was granted COUPON, and what it took off."""
    from billing_pipeline.pricing.discounts import grants

    rows = grants(open_database(), coupon=coupon)
    print_rows("discounts", rows, as_json=as_json, empty=f"nobody was granted {coupon}")
