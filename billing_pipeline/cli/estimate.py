"""`billing estimate`: what running periods come to, before anybody bills them."""

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.options import JSON, LIMIT, Month
from billing_pipeline.cli.output import facts, instant, print_json, table
from billing_pipeline.core.money import format_minor

if TYPE_CHECKING:
    from billing_pipeline.comparison.estimated import Estimate
    from billing_pipeline.comparison.rules.allowances import Allowance


@click.command()
@click.argument("customers", nargs=-1, metavar="[CUSTOMER]...")
@click.option("--month", type=Month(), help="The periods that this month bills. Default: the running ones.")
@click.option("--by-day", is_flag=True, help="Also what was used on each day, and accrued by its end.")
@LIMIT
@JSON
def estimate(customers: tuple[str, ...], month: date | None, by_day: bool, limit: int, as_json: bool) -> None:
    """Estimate what open periods come to: accrued by now, and projected to their ends. Without CUSTOMER, everybody.

    Through the statements and rules that bill them. Nothing is written.
    """
    from billing_pipeline.comparison.estimate import estimate as estimated
    from billing_pipeline.customers.reading import list_customers, read_customer

    warehouse = open_database()
    rows = [read_customer(warehouse, each) for each in customers] or list_customers(warehouse, limit=limit)
    wanted = list(dict.fromkeys(str(row["customer_id"]) for row in rows))
    found = estimated(warehouse, wanted, month=month, by_day=by_day)
    if as_json:
        print_json({"estimates": [asdict(one) for one in found]})
    elif len(customers) == 1 and found:
        for one in found:
            _show(one)
    else:
        table([_row(one) for one in found], "no open period")


def _row(one: "Estimate") -> dict[str, Any]:
    return {
        "customer": one.customer_id,
        "from": one.start_date,
        "to": one.end_date,
        "accrued_minor": one.accrued.total_minor,
        "projected_minor": one.projected.total_minor,
        "low_minor": one.low_minor,
        "high_minor": one.high_minor,
        "set aside": len(one.set_aside) or "",
        "currency": one.currency,
    }


def _allowance(one: "Allowance") -> dict[str, Any]:
    what = f"shared: {one.pool}" if one.pool else one.description
    return {"included in": what, "included": one.included, "used": one.used, "left": one.left}


def _show(one: "Estimate") -> None:
    def shown(amount_minor: int) -> str:
        return format_minor(amount_minor, one.currency)

    facts(
        [
            ("customer", one.customer_id),
            ("period", f"{one.start_date} to before {one.end_date} ({one.timezone}){', ended' if one.ended else ''}"),
            ("usage", f"complete through {instant(one.feed_complete_through) or 'no instant that was declared'}"),
            ("accrued", f"{shown(one.accrued.total_minor)}, if it ended now"),
            ("projected", f"{shown(one.projected.total_minor)} ({shown(one.low_minor)} to {shown(one.high_minor)})"),
        ]
    )
    for title, bill in (("accrued", one.accrued), ("projected", one.projected)):
        click.echo()
        lines = [
            {
                title: line.description,
                "quantity": line.quantity,
                "amount_minor": line.amount_minor,
                "currency": one.currency,
            }
            for line in bill.lines
        ]
        table(lines, f"{title}: no lines")
    if one.accrued.allowances:
        click.echo()
        table([_allowance(each) for each in one.accrued.allowances], "")
    if one.set_aside:
        click.echo()
        table([asdict(each) | {"currency": one.currency} for each in one.set_aside], "")
    if one.days:
        click.echo()
        days = [
            {
                "day": day.day,
                "accrued_minor": day.accrued_minor,
                "used": ", ".join(f"{each.meter} {each.quantity.normalize():f}" for each in day.quantities),
                "currency": one.currency,
            }
            for day in one.days
        ]
        table(days, "")
