"""`billing charges retry`, `unpark`, `write-off` and `adopt-revision`: what only a person decides about one charge."""

import sys
from typing import TYPE_CHECKING

import click

from billing_pipeline.cli.common import WAITS_FOR_A_PERSON, open_database, open_stripe, quiet
from billing_pipeline.cli.options import JSON, signed
from billing_pipeline.cli.output import print_json
from billing_pipeline.cli.stories import because
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.charging.report import ChargeReport
    from billing_pipeline.postgres.warehouse import Warehouse


@click.command()
@click.argument("invoice")
@signed
@JSON
def retry(invoice: str, signature: Signature, as_json: bool) -> None:
    """Try a refused charge again now, or take a parked one up again from what Stripe says.

    Exit status 3 if it is refused or parked again, or a brake holds it back.
    """
    from billing_pipeline.charging.brakes import limits_of
    from billing_pipeline.charging.operations import invoice_named, retry_charge

    warehouse = open_database()
    invoice_id = invoice_named(warehouse, invoice)
    limits = limits_of(load_settings().charging)
    with open_stripe() as api:
        report = retry_charge(warehouse, api, invoice_id, signature, limits=limits, log=quiet)
    _tell(warehouse, invoice_id, report, as_json=as_json)


@click.command()
@click.argument("invoice")
@click.option(
    "--adopt", "stripe_invoice_id", metavar="in_…", help="This invoice at Stripe is the one; void the others."
)
@click.option("--void", is_flag=True, help="Void the invoice, at Stripe and here.")
@signed
@JSON
def unpark(invoice: str, stripe_invoice_id: str | None, void: bool, signature: Signature, as_json: bool) -> None:
    """Decide about a parked charge. Exit status 3 if it is refused or parked again, or a brake holds it back."""
    from billing_pipeline.charging.brakes import limits_of
    from billing_pipeline.charging.operations import adopt_invoice, invoice_named, require_parked
    from billing_pipeline.corrections.void_invoice import void_invoice

    if void == (stripe_invoice_id is not None):
        raise UserError(
            "expected either --adopt in_… or --void; to take the charge up as it is, `billing charges retry`"
        )
    warehouse = open_database()
    invoice_id = invoice_named(warehouse, invoice)
    require_parked(warehouse, invoice_id)
    limits = limits_of(load_settings().charging)
    with open_stripe() as api:
        report = None
        if stripe_invoice_id is not None:
            report = adopt_invoice(warehouse, api, invoice_id, stripe_invoice_id, signature, limits=limits, log=quiet)
        else:
            void_invoice(warehouse, api, invoice_id, signature)
    _tell(warehouse, invoice_id, report, as_json=as_json)


@click.command(name="write-off")
@click.argument("invoice")
@signed
def write_off(invoice: str, signature: Signature) -> None:
    """Give up what is still owed of INVOICE: uncollectible, at Stripe and here. It may still be paid or voided."""
    from billing_pipeline.charging.write_off import write_off as give_up
    from billing_pipeline.core.money import format_minor

    warehouse = open_database()
    with open_stripe() as api:
        done = give_up(warehouse, api, invoice, signature)
    amount = format_minor(done.remaining_minor, done.currency)
    click.echo(f"{done.label} {'was given up before' if done.already else 'is given up'}: {amount} of it")


@click.command(name="adopt-revision")
@click.argument("invoice")
@signed
def adopt_revision(invoice: str, signature: Signature) -> None:
    """Let the revision that somebody made of INVOICE at Stripe bill its period: nothing is billed again here."""
    from billing_pipeline.core.money import format_minor
    from billing_pipeline.corrections.revisions import adopt_revision as adopt

    warehouse = open_database()
    with open_stripe() as api:
        done = adopt(warehouse, api, invoice, signature)
    amount = format_minor(done.total_minor, done.currency)
    click.echo(f"{done.stripe_invoice_id} over {amount}, {done.status}, bills the period of {done.number}")


def _tell(warehouse: "Warehouse", invoice_id: str, report: "ChargeReport | None", *, as_json: bool) -> None:
    """Where the charge is now."""
    from billing_pipeline.charging.reading import story

    charge = story(warehouse, invoice_id).charge
    if as_json:
        print_json({**charge, "brakes": [str(brake) for brake in report.brakes] if report else []})
    else:
        click.echo(f"{charge['number']} is {charge['state']}, attempt {charge['attempt']}" + because(charge))
    if report is not None and report.brakes:
        click.echo(f"held back: {'; '.join(map(str, report.brakes))}", err=True)
        sys.exit(WAITS_FOR_A_PERSON)
    if report is not None and report.in_other_hands:
        raise UserError("another run is charging it right now")
    if report is not None and report.pending:
        raise UserError(f"no definite answer yet ({', '.join(report.pending)}); it is asked about again")
    if charge["state"] in ("refused", "parked"):
        sys.exit(WAITS_FOR_A_PERSON)
