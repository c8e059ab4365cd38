"""`billing explain`: where an invoice's figures come from, and whether they still agree."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.options import JSON
from billing_pipeline.cli.output import print_json
from billing_pipeline.core.shapes import plain

if TYPE_CHECKING:
    from billing_pipeline.comparison.explained import Explained, StoredEvent, StoredSnapshot

EVENTS_SHOWN = 20


@click.command()
@click.argument("invoice", required=False)
@click.option("--all", "every", is_flag=True, help="Check all finalised invoices instead; print those that do not fit.")
@click.option(
    "--events",
    "events_max",
    type=click.IntRange(min=0),
    default=EVENTS_SHOWN,
    show_default=True,
    help="Show so many events of each quantity.",
)
@JSON
def explain(invoice: str | None, every: bool, events_max: int, as_json: bool) -> None:
    """Print an INVOICE's lines with their events, snapshot, price, arithmetic and run, and compute all of it again.

    INVOICE is a number such as INV-00000001, or an id. Exit status 1 if a figure or a stored row does not fit.
    """
    if every == (invoice is not None):
        raise click.UsageError("expected an INVOICE or --all")
    if invoice is None:
        _check_all(as_json=as_json)
        return
    from billing_pipeline.comparison.explain import explain_invoice
    from billing_pipeline.comparison.explained import as_document

    explained = explain_invoice(open_database(), invoice)
    if as_json:
        print_json(as_document(explained))
    else:
        _print(explained, events_max)
    if explained.problems:
        sys.exit(1)


def _check_all(*, as_json: bool) -> None:
    from billing_pipeline.comparison.explain import explain_all, ledger_problems

    warehouse = open_database()
    count = wrong = line_count = 0
    told: list[dict[str, Any]] = []
    for explained in explain_all(warehouse):
        count += 1
        line_count += len(explained.lines)
        wrong += bool(explained.problems)
        if explained.problems:
            told.append({"number": _name(explained), "problems": list(explained.problems)})
        for problem in explained.problems:
            click.echo(f"{_name(explained)}: {problem}", err=True)
    problems = ledger_problems(warehouse)
    for problem in problems:
        click.echo(f"ledger: {problem}", err=True)
    if as_json:
        print_json(
            {
                "invoices": count,
                "reproduced": count - wrong,
                "lines": line_count,
                "problems": told,
                "ledger_problems": list(problems),
            }
        )
        sys.exit(1 if wrong or problems else 0)
    click.echo(f"{count - wrong} of {count} invoices ({line_count} lines) reproduced byte for byte")
    if wrong or problems:
        sys.exit(1)


def _print(explained: "Explained", events_max: int) -> None:
    from billing_pipeline.core.money import format_minor

    invoice = explained.invoice
    currency = invoice.currency
    click.echo(f"{invoice.number}  {invoice.customer_name} ({invoice.customer_id})  {invoice.status}")
    click.echo(
        f"  {invoice.start_date} to {invoice.end_date}, exclusive, in {invoice.timezone};"
        f" billed with {invoice.billing_month:%Y-%m}"
    )
    click.echo(f"  finalised {invoice.finalised_at.isoformat(timespec='seconds')}, drafted by run {invoice.run_id}")
    of_usage = {snapshot.series: snapshot for snapshot in explained.snapshots}
    shown: set[tuple[str, str]] = set()
    for line in explained.lines:
        click.echo(f"\n{line.line_no:>3}  {line.description}  {format_minor(line.amount_minor, currency)}")
        if line.unit_amount is None or line.exact_amount is None:
            click.echo("     an adjustment: not metered, made by a person or a settlement")
            continue
        click.echo(
            f"     {plain(line.quantity)} x {plain(line.unit_amount)} = {plain(line.exact_amount)},"
            f" rounded once to {line.amount_minor} minor units"
        )
        if line.price_id is not None:
            click.echo(f"     price: version {line.price_version}, {line.model}, {line.price_id}")
        if line.term_id is not None:
            origin = "granted by hand" if line.price_version is None else f"version {line.price_version}"
            click.echo(f"     term: {line.kind}{_dimensions(line.dimensions)}, {origin}, {line.term_id}")
        click.echo(f"     run {line.run_id}, code {line.code_version}")
        key = (line.meter, line.dimensions)
        snapshot = of_usage.get(key)
        if line.kind == "usage" and snapshot is not None:
            click.echo(
                f"     usage: {plain(line.usage_quantity)} {line.meter}{_dimensions(line.dimensions)},"
                f" of which {plain(line.included_quantity)} included"
            )
            if key not in shown:
                shown.add(key)
                _print_snapshot(snapshot, explained.events.get(key, []), events_max)
    click.echo(f"\n     total {format_minor(invoice.total_minor, currency)} = sum of {len(explained.lines)} lines")
    for draw in explained.draws:
        click.echo(f"\n{draw.line_no:>3}  {draw.description}  {format_minor(draw.amount_minor, currency)}")
        click.echo(f"     {draw.kind} credits: entry {draw.entry_id} of the ledger, grant {draw.grant_id}")
    if explained.draws:
        click.echo(f"     due {format_minor(invoice.due_minor, currency)} = total less prepaid credits")
    click.echo(f"     request to Stripe: sha256 {invoice.request_sha256}")
    for problem in explained.problems:
        click.echo(f"Error: {_name(explained)}: {problem}", err=True)
    if not explained.problems:
        click.echo("     reproduced byte for byte: events, snapshots, lines, total, request and seal agree")


def _correction_notes(event: "StoredEvent") -> list[str]:
    corrects, corrected_by = event.corrects_event_id, event.corrected_by
    if corrected_by == event.event_id:
        return [f"removes {corrects}"]
    return [
        f"corrects {corrects}" if corrects else "",
        f"corrected by {corrected_by}, does not count" if corrected_by else "",
    ]


def _print_snapshot(snapshot: "StoredSnapshot", events: "list[StoredEvent]", events_max: int) -> None:
    click.echo(
        f"     snapshot: version {snapshot.snapshot_version} as of {snapshot.as_of.isoformat()},"
        f" {plain(snapshot.quantity)} ({snapshot.aggregation}, {snapshot.basis}), run {snapshot.run_id}"
    )
    if snapshot.basis == "carried_forward":
        final = (
            "final by then, and computed again" if snapshot.source_final else "not final by then: not computed again"
        )
        click.echo(f"     carried forward from the period before, which was {final}")
    if snapshot.opening_level is not None:
        click.echo(f"     level at the period's start, which its events change: {plain(snapshot.opening_level)}")
    for event in events[:events_max]:
        notes = [
            f"counts as {event.value}" if event.value is not None else "",
            "before the period" if event.occurred_at < snapshot.period_start else "",
            *_correction_notes(event),
        ]
        note = "; ".join(part for part in notes if part)
        click.echo(
            f"       {event.occurred_at.isoformat()}  {plain(event.quantity):>12}  {event.event_id}"
            f"{f'  ({note})' if note else ''}"
        )
    if len(events) > events_max:
        click.echo(f"       … and {len(events) - events_max} more events (--events {len(events)})")


def _name(explained: "Explained") -> str:
    return explained.invoice.number


def _dimensions(text: str) -> str:
    values = ", ".join(str(value) for value in json.loads(text).values())
    return f" ({values})" if values else ""
