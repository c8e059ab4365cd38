"""`billing reconcile` and `billing close`: our books against Stripe's, and the end of a month."""

import sys
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from billing_pipeline.cli.common import open_database, open_stripe
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import AUTHOR, JSON, THE_MONTH, Month, signed
from billing_pipeline.cli.output import print_json
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.events.cipher import EventCipher


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--month", type=Month(), help="Only this month, such as 2026-10. Default: every month that is not closed."
)
@JSON
@click.pass_context
def reconcile(ctx: click.Context, month: date | None, as_json: bool) -> None:
    """Compare our books with Stripe's and print what differs. Exit status 1 if anything does.

    Events that are not here are fetched and processed first, as `billing events sweep` and `process` do.
    """
    if ctx.invoked_subcommand is not None:
        return
    from billing_pipeline.books.months import overdue_months
    from billing_pipeline.books.reconciliation import compare_with_stripe

    warehouse = open_database()
    with open_stripe() as gateway:
        done = compare_with_stripe(
            warehouse, gateway, f"billing-{uuid4()}", datetime.now(UTC), month=month, cipher=_cipher()
        )
    books = done.books
    overdue = overdue_months(warehouse, datetime.now(UTC), load_settings().charging.charged_within_days)
    if as_json:
        print_json(
            {
                "reconciliation_id": done.reconciliation_id,
                "charges": len(books.charges),
                "at_stripe": {
                    name: len(getattr(books, name))
                    for name in ("invoices", "payments", "refunds", "credit_notes", "disputes")
                },
                "differences": [asdict(one) for one in done.differences],
                "overdue_months": [asdict(month) for month in overdue],
            }
        )
        sys.exit(1 if done.differences else 0)
    click.echo(
        f"comparison {done.reconciliation_id}: {len(books.charges):,} charges; at Stripe {len(books.invoices):,}"
        f" invoices, {len(books.payments):,} payments, {len(books.refunds):,} refunds,"
        f" {len(books.credit_notes):,} credit notes, {len(books.disputes):,} disputes"
    )
    for one in done.differences:
        click.echo(
            f"{one.object_type:<11} {one.kind:<18} {one.stripe_id or '-'}  invoice {one.invoice_name or '-'}"
            f"  ours {one.ours or 'nothing'}, Stripe's {one.theirs or 'nothing'}  -> {one.proposed_action}"
        )
    for late in overdue:
        click.echo(f"month {late}; `billing months list`")
    click.echo(f"{len(done.differences):,} difference(s)")
    if done.differences:
        sys.exit(1)


@reconcile.command(name="delete-draft")
@click.argument("stripe_invoice_id")
@signed
def delete_draft(stripe_invoice_id: str, signature: Signature) -> None:
    """Delete a draft at Stripe that carries an invoice of ours and stands for nothing."""
    from billing_pipeline.books.orphan_drafts import delete_orphan_draft

    warehouse = open_database()
    with open_stripe() as gateway:
        gone = delete_orphan_draft(warehouse, gateway, stripe_invoice_id, signature)
    click.echo(f"{gone.stripe_invoice_id} is deleted; it carried invoice {gone.invoice_id}")


@click.command()
@THE_MONTH
@AUTHOR
@JSON
def close(month: date, author: str, as_json: bool) -> None:
    """Close a month whose invoices, Stripe's invoices and payments agree. Its records do not change afterwards.

    Events that are not here are fetched and processed first.
    """
    from billing_pipeline.books.month_closing import close_month
    from billing_pipeline.books.rules.month_proof import TOTALS
    from billing_pipeline.core.money import format_minor

    warehouse = open_database()
    with open_stripe() as gateway:
        done = close_month(
            warehouse,
            gateway,
            month,
            author=author,
            run_id=f"billing-{uuid4()}",
            now=datetime.now(UTC),
            cipher=_cipher(),
        )
    if as_json:
        totals = [
            {"currency": currency, **{f"{name}_minor": amounts[name] for name in TOTALS}}
            for currency, amounts in done.totals.items()
        ]
        print_json(
            {
                "billing_month": month,
                "closed_now": done.now,
                **{name: getattr(done, name) for name in _PROOF},
                "totals": totals,
            }
        )
        return
    said = "closed" if done.now else "was closed already, and its records are unchanged"
    click.echo(f"{month:%Y-%m} {said}: {done.closed_at:%Y-%m-%d %H:%M} by {done.closed_by}")
    click.echo(
        f"  {done.invoice_count:,} invoices, {done.stripe_invoice_count:,} at Stripe, {done.payment_count:,} payments"
    )
    for currency, amounts in done.totals.items():
        told = (f"{name.replace('_', ' ')} {format_minor(amounts[name], currency)}" for name in TOTALS)
        click.echo("  " + ", ".join(told))
    for name, digest in done.digests.items():
        click.echo(f"  {name} sha256 {digest}")
    click.echo(f"  audit chain {done.audit_head}")


def _cipher() -> "EventCipher | None":
    """None: no keys are set, and so no event is ever stored here."""
    from billing_pipeline.events.cipher import EventCipher

    keys = load_settings().events.keys
    return EventCipher(keys) if keys else None


_PROOF = ("closed_at", "closed_by", "invoice_count", "stripe_invoice_count", "payment_count", "digests", "audit_head")
