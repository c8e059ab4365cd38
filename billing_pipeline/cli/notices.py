"""`billing notices`: what customers are told, and how far each notice is sent."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.notice_choices import choices
from billing_pipeline.cli.options import CUSTOMER, JSON, LIMIT, signed
from billing_pipeline.cli.output import facts, instant, print_json, print_rows
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.notice_kinds import ALERT, KINDS
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.notices.holding import Held

NOTICE = click.argument("notice", type=int)
_COLUMNS = ("notice_id", "written_at", "kind", "customer_id", "invoice", "recipient", "state", "due_at", "held")


@click.group(cls=Group)
def notices() -> None:
    """What customers are told: look at it, send it, hold it."""


@notices.command(name="list")
@CUSTOMER
@click.option("--kind", type=click.Choice((*KINDS, ALERT)), help="Only this kind.")
@click.option("--state", help="Only those that are pending, sent, overtaken or failed.")
@LIMIT
@JSON
def list_(customer: str | None, kind: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """Show notices and how far each is sent, the newest first."""
    from billing_pipeline.notices.reading import STATES, list_notices

    if state is not None and state not in STATES:
        raise UserError(f'--state "{state}": expected one of {", ".join(STATES)}')
    rows = list_notices(open_database(), customer_id=customer, kind=kind, state=state, limit=limit)
    print_rows("notices", rows, as_json=as_json, empty="no notice", columns=_COLUMNS)


@notices.command()
@NOTICE
@JSON
def show(notice: int, as_json: bool) -> None:
    """Show all that is known of one notice."""
    from billing_pipeline.notices.reading import read_notice

    row = read_notice(open_database(), notice)
    if as_json:
        print_json(row)
        return
    told = row.pop("facts")
    times = ("written_at", "due_at", "sent_at")
    facts([(name, instant(value) if name in times else "" if value is None else value) for name, value in row.items()])
    facts([(name, value) for name, value in told.items() if value is not None])


def _held(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--notice", type=int, help="One notice, by its number."),
        click.option("--customer", help="All of a customer, by its id."),
        click.option("--kind", type=click.Choice(KINDS), help="All of a kind."),
        click.option("--all", "everything", is_flag=True, help="All notices."),
    ):
        command = option(command)
    return command


@notices.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--customer", required=True, metavar="ID", help="In whose words.")
@click.option("--html", "as_html", is_flag=True, help="The HTML instead of the text.")
def preview(kind: str, customer: str, as_html: bool) -> None:
    """Show what a customer would read: its newest notice of the kind, or one with sample facts."""
    from billing_pipeline.notices.sending import wording_of
    from billing_pipeline.notices.trying import preview as previewed

    words = previewed(open_database(), wording_of(load_settings()), kind, customer)
    click.echo(words.html if as_html else f"{words.subject}\n\n{words.text}", nl=as_html)


@notices.command()
@JSON
def check(as_json: bool) -> None:
    """Render every kind in every language, with the templates of BILLING_NOTICE_TEMPLATES if there are any."""
    from billing_pipeline.notices.sending import wording_of
    from billing_pipeline.notices.trying import check_words

    rendered, problems = check_words(wording_of(load_settings()))
    if as_json:
        print_json({"rendered": rendered, "problems": problems})
    if problems:
        raise UserError("\n".join(problems))
    if not as_json:
        click.echo(f"{rendered} mails rendered, all well")


@notices.command()
def send() -> None:
    """Send what is due now; the sensor does the same by itself."""
    from billing_pipeline.notices.channels import open_channels
    from billing_pipeline.notices.sending import send_notices, summary

    warehouse, settings = open_database(), load_settings()
    stopped = []
    for channel in open_channels(warehouse, settings):
        try:
            report = send_notices(warehouse, channel, log=click.echo)
        finally:
            channel.sender.close()
        click.echo(f"{channel.name}: {summary(report.outcomes)}")
        stopped += [report.stopped] if report.stopped else []
    if stopped:
        raise UserError("\n".join(stopped))


@notices.command()
@NOTICE
@signed
def resend(notice: int, signature: Signature) -> None:
    """Send a notice once more: one that was given up itself, one that was sent as another notice."""
    from billing_pipeline.notices.resending import resend as tell_again

    click.echo(f"notice {tell_again(open_database(), notice, signature)} is to be sent")


@notices.command()
@_held
@signed
def hold(notice: int | None, customer: str | None, kind: str | None, everything: bool, signature: Signature) -> None:
    """Keep notices from being sent until they are released."""
    from billing_pipeline.notices.holding import hold_notices

    held = _one(notice, customer, kind, everything)
    hold_notices(open_database(), held, signature)
    click.echo(f"{held.label}: on hold, nothing of it is sent")


@notices.command()
@_held
@signed
def release(notice: int | None, customer: str | None, kind: str | None, everything: bool, signature: Signature) -> None:
    """Release a hold on notices; what waited is sent."""
    from billing_pipeline.notices.holding import release_notices

    held = _one(notice, customer, kind, everything)
    release_notices(open_database(), held, signature)
    click.echo(f"{held.label}: released")


def _one(notice: int | None, customer: str | None, kind: str | None, everything: bool) -> "Held":
    from billing_pipeline.notices.holding import Held

    if sum((notice is not None, customer is not None, kind is not None, everything)) != 1:
        raise UserError("expected one of --notice, --customer, --kind and --all")
    return Held(notice, customer, kind)


notices.add_command(choices)
