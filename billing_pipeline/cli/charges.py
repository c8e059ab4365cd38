"""`billing charges`: what became of each charge, what a person does about one, and the brakes of all charging."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.charging.rules.charging import STATES
from billing_pipeline.cli.common import Month, open_database
from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.charging.month import ChargeReport
    from billing_pipeline.postgres.warehouse import Warehouse
    from billing_pipeline.stripe_gateway.gateway import StripeGateway

_Command = Callable[..., Any]


def _signed(command: _Command) -> _Command:
    """Options --author and --reason, which the audit log keeps."""
    command = click.option("--reason", required=True, help="Why; kept in the audit log.")(command)
    return click.option("--author", required=True, help="Who; kept in the audit log.")(command)


@contextmanager
def _stripe(warehouse: "Warehouse") -> Iterator["StripeGateway"]:
    """Stripe as the environment names it, or the emulator with its state."""
    from billing_pipeline.stripe_gateway.gateway import open_gateway
    from billing_pipeline.stripe_gateway.local_emulator import stripe_for
    from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

    try:
        with stripe_for(load_settings()):
            gateway = open_gateway(load_settings())
            try:
                yield gateway
            finally:
                gateway.close()
    except StripeFailure as failure:
        raise UserError(f"Stripe: {failure}") from None
    finally:
        warehouse.engine.dispose()


@click.group()
def charges() -> None:
    """Look at charges, decide what only a person can, and stop or resume charging."""


@charges.command(name="list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(sorted(STATES)), help="Only these; may be repeated."
)
@click.option("--month", type=Month(), help="Only this month.")
@click.option("--reason-code", help="Only those refused or parked for this.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help="At most so many.")
def list_command(states: tuple[str, ...], month: date | None, reason_code: str | None, limit: int) -> None:
    """List charges, the newest month first."""
    from billing_pipeline.charging.reading import list_charges

    rows = list_charges(open_database(), states, month, reason_code, limit)
    shown = [
        {
            "number": row["number"],
            "customer": row["customer_id"],
            "month": f"{row['billing_month']:%Y-%m}",
            "amount": _money(row["amount_minor"], row["currency"]),
            "state": row["state"],
            "attempt": row["attempt"],
            "reason": row["reason_code"] or ("outcome unknown" if row["outcome_unknown_since"] else ""),
            "due": _instant(row["due_at"]),
            "at Stripe": row["stripe_invoice_id"] or "",
        }
        for row in rows
    ]
    _print_table(shown)
    click.echo(f"{len(rows)} charge(s)" + (f"; only the first {limit} are shown" if len(rows) == limit else ""))


@charges.command()
@click.argument("invoice")
def show(invoice: str) -> None:
    """Tell the whole story of INVOICE, an invoice_id or a number: intent, calls, answers, events."""
    from billing_pipeline.charging.operations import invoice_named
    from billing_pipeline.charging.reading import story

    warehouse = open_database()
    told = story(warehouse, invoice_named(warehouse, invoice))
    charge = told.charge
    theirs = f"{charge['stripe_invoice_id'] or 'nothing that we know of'}"
    if charge["stripe_total_minor"] is not None:
        theirs += f", total {_money(charge['stripe_total_minor'], charge['stripe_currency'] or charge['currency'])}"
    unknown = charge["outcome_unknown_since"]
    for name, said in (
        ("invoice", f"{charge['number']} ({charge['status']}), {charge['invoice_id']}"),
        ("customer", f"{charge['customer_id']} {charge['customer_name']}, at Stripe {charge['stripe_customer_id']}"),
        ("month", f"{charge['billing_month']:%Y-%m}"),
        ("amount", _money(charge["amount_minor"], charge["currency"])),
        ("charge", f"{charge['state']}, attempt {charge['attempt']}" + _because(charge)),
        ("at Stripe", theirs),
        ("intent", f"{_instant(charge['created_at'])}, run {charge['run_id']}"),
        ("request", f"{charge['request_bytes']} bytes, SHA-256 {charge['request_sha256']}"),
        *([("unknown", f"the outcome of a call, since {_instant(unknown)}")] if unknown else []),
        *(
            (f"next {follow_up['kind']}", f"{_instant(follow_up['due_at']) or 'not by itself'}: {follow_up['cause']}")
            for follow_up in told.follow_ups
        ),
    ):
        click.echo(f"{name:<10} {said}")
    click.echo("\nhistory")
    for entry in told.entries:
        click.echo(f"  {_instant(entry['logged_at'])}  {entry['actor']}  {entry['action']}{_change(entry)}")
    if told.events:
        click.echo("\nevents from Stripe")
    for event in told.events:
        click.echo(f"  {_instant(event['received_at'])}  {event['type']}  {event['event_id']}")


@charges.command()
@click.argument("invoice")
@_signed
def retry(invoice: str, author: str, reason: str) -> None:
    """Try a refused charge again now, or take a parked one up again from what Stripe says."""
    from billing_pipeline.charging.brakes import limits_of
    from billing_pipeline.charging.operations import invoice_named
    from billing_pipeline.charging.operations import retry as try_again

    warehouse = open_database()
    invoice_id = invoice_named(warehouse, invoice)
    limits = limits_of(load_settings().charging)
    with _stripe(warehouse) as api:
        report = try_again(warehouse, api, invoice_id, author=author, reason=reason, limits=limits, log=_quiet)
        _tell(warehouse, invoice_id, report)


@charges.command()
@click.argument("invoice")
@click.option(
    "--adopt", "stripe_invoice_id", metavar="in_…", help="This invoice at Stripe is the one; void the others."
)
@click.option("--void", is_flag=True, help="Void the invoice, at Stripe and here.")
@_signed
def unpark(invoice: str, stripe_invoice_id: str | None, void: bool, author: str, reason: str) -> None:
    """Decide about a parked charge."""
    from billing_pipeline.charging.brakes import limits_of
    from billing_pipeline.charging.operations import adopt, invoice_named, require_parked
    from billing_pipeline.charging.void_at_stripe import void_charge

    if void == (stripe_invoice_id is not None):
        raise UserError(
            "expected either --adopt in_… or --void; to take the charge up as it is, `billing charges retry`"
        )
    warehouse = open_database()
    invoice_id = invoice_named(warehouse, invoice)
    require_parked(warehouse, invoice_id)
    limits = limits_of(load_settings().charging)
    with _stripe(warehouse) as api:
        report = None
        if stripe_invoice_id is not None:
            report = adopt(
                warehouse, api, invoice_id, stripe_invoice_id, author=author, reason=reason, limits=limits, log=_quiet
            )
        else:
            void_charge(warehouse, api, invoice_id, author=author, reason=reason)
        _tell(warehouse, invoice_id, report)


@charges.command()
@_signed
def pause(author: str, reason: str) -> None:
    """Stop charging everywhere, runs that are under way included."""
    from billing_pipeline.charging.brakes import pause as switch_off

    switch_off(open_database(), author, reason)
    click.echo("charging is paused; Stripe is still asked about what is under way")


@charges.command()
@_signed
def resume(author: str, reason: str) -> None:
    """Let charging go on after a pause."""
    from billing_pipeline.charging.brakes import resume as switch_on

    switch_on(open_database(), author, reason)
    click.echo("charging goes on with the next pass")


@charges.command()
def status() -> None:
    """Say which brakes are on, and what is waiting."""
    from billing_pipeline.charging.brakes import read_brakes

    warehouse = open_database()
    brakes = read_brakes(warehouse)
    for brake in brakes.on():
        click.echo(f"brake on: {brake}")
    if not brakes.on():
        click.echo("no brake is on")
    if brakes.needs_reconciliation:
        click.echo("`billing charges reconcile` compares with Stripe and resumes when all is well")
    click.echo(f"switched last by {brakes.changed_by} at {_instant(brakes.changed_at)}: {brakes.reason}")
    rows = warehouse.rows(
        "SELECT state, reason_code, count(*) AS charges FROM billing.stripe_charges GROUP BY 1, 2 ORDER BY 1, 2"
    )
    _print_table([{"state": r["state"], "reason": r["reason_code"] or "", "charges": r["charges"]} for r in rows])


@charges.command()
@click.argument("month", type=Month())
@_signed
def release(month: date, author: str, reason: str) -> None:
    """Release the charges of MONTH that wait for its canaries."""
    from billing_pipeline.charging.canary import release_month

    count = release_month(open_database(), month, author, reason)
    click.echo(f"{count} charge(s) of {month:%Y-%m} are released; the next pass charges them")


@charges.command()
@_signed
def reconcile(author: str, reason: str) -> None:
    """Compare all months with Stripe; after a change of the database, resume when nothing contradicts it."""
    from billing_pipeline.charging.failover import reconcile as compare

    warehouse = open_database()
    with _stripe(warehouse) as api:
        done = compare(warehouse, api, author=author, reason=reason, log=_quiet)
    for problem in done.problems:
        click.echo(f"{problem.number} ({problem.customer_id}) {problem.problem}")
    if done.problems:
        raise UserError(
            f"{len(done.problems)} contradiction(s) between our charges and Stripe's; charging is as it was"
        )
    click.echo(f"{len(done.months)} month(s) agree with Stripe" + ("; charging goes on" if done.resumed else ""))


def _quiet(_: str) -> None:
    """Progress of one invoice is told at the end."""


def _tell(warehouse: "Warehouse", invoice_id: str, report: "ChargeReport | None") -> None:
    """Where the charge is now. Exit status 1 if a brake or another run kept it there."""
    from billing_pipeline.charging.reading import story

    charge = story(warehouse, invoice_id).charge
    click.echo(f"{charge['number']} is {charge['state']}, attempt {charge['attempt']}" + _because(charge))
    if report is None:
        return
    if report.brakes:
        raise UserError("; ".join(map(str, report.brakes)))
    if report.in_other_hands:
        raise UserError("another run is charging it right now")
    if report.pending:
        raise UserError(f"no definite answer yet ({', '.join(report.pending)}); it is asked about again")


def _because(charge: dict[str, Any]) -> str:
    parts = dict.fromkeys(str(part) for part in (charge["reason_code"], charge["reason"]) if part)
    return f": {', '.join(parts)}" if parts else ""


def _change(entry: dict[str, Any]) -> str:
    before, after = entry["state_before"] or {}, dict(entry["state_after"] or {})
    moves = [
        f"{name} {before[name]} -> {after[name]}" if before.get(name) not in (None, after[name]) else f"{after[name]}"
        for name in ("status", "state", "attempt")
        if name in after and (name != "attempt" or before.get(name) != after[name])
    ]
    evidence = [
        f"{name}={value}" for name, value in after.items() if name not in ("status", "state", "attempt", "message")
    ]
    why = f"  {entry['reason']}" if entry["reason"] else ""
    return f"  {', '.join(moves)}{why}" + (f"  [{', '.join(evidence)}]" if evidence else "")


def _money(amount_minor: int, currency: str) -> str:
    from billing_pipeline.core.money import format_minor

    return format_minor(amount_minor, currency)


def _instant(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if value is not None else ""


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in rows[0]}
    click.echo("  ".join(f"{name:<{width}}" for name, width in widths.items()).rstrip())
    for row in rows:
        click.echo("  ".join(f"{row[name]!s:<{width}}" for name, width in widths.items()).rstrip())
