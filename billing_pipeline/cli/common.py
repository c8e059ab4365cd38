"""What the commands share: parameter types, the opened database, errors in one line. No command belongs here."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.postgres.warehouse import Warehouse
    from billing_pipeline.stripe_gateway.gateway import StripeGateway


class Month(click.ParamType[date]):
    """A month, written as 2026-10."""

    name = "YYYY-MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The month's first day."""
        match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])(-01)?", str(value))
        if match is None:
            self.fail(f"{value!r}: expected a month such as 2026-10", param, ctx)
        return date(int(match[1]), int(match[2]), 1)


class Instant(click.ParamType[datetime]):
    """An instant in ISO 8601 with an offset."""

    name = "INSTANT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant, never a local time without an offset."""
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r}: expected an ISO 8601 instant such as 2026-11-01T00:00:00Z", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r}: expected an offset, such as Z or +01:00", param, ctx)
        return instant


class Commands(click.Group):
    """Turns the errors that a user can cause into one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from error


def open_database() -> "Warehouse":
    """The configured database, migrated."""
    from billing_pipeline.postgres.engine import open_warehouse
    from billing_pipeline.postgres.migrations import migrate

    warehouse = open_warehouse(load_settings())
    migrate(warehouse)
    return warehouse


@contextmanager
def open_stripe() -> "Iterator[StripeGateway]":
    """Stripe, or an emulator for as long as the block takes; an answer that ends the command is one line."""
    from billing_pipeline.stripe_gateway.gateway import open_gateway
    from billing_pipeline.stripe_gateway.local_emulator import stripe_for
    from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

    with stripe_for(load_settings()):
        # read anew: the emulator's address came with its start
        gateway = open_gateway(load_settings())
        try:
            yield gateway
        except StripeFailure as failure:
            raise UserError(f"Stripe: {failure}") from None
        finally:
            gateway.close()


def minor_units(option: str, value: str, currency: str) -> int:
    """An amount that was typed, in minor units."""
    from billing_pipeline.core.money import parse_minor

    try:
        return parse_minor(value, currency)
    except ValueError as error:
        raise UserError(f"{option} {error}") from None


def table(rows: list[dict[str, Any]], empty: str) -> None:
    """Print rows in aligned columns, amounts in minor units written out in their currency."""
    from billing_pipeline.core.money import format_minor

    if not rows:
        click.echo(empty)
        return
    written = [
        {
            name.removesuffix("_minor"): format_minor(value, row["currency"]) if name.endswith("_minor") else str(value)
            for name, value in row.items()
            if name != "currency"
        }
        for row in rows
    ]
    widths = {name: max(len(name), *(len(row[name]) for row in written)) for name in written[0]}
    for row in [{name: name for name in widths}, *written]:
        click.echo("  ".join(value.ljust(widths[name]) for name, value in row.items()).rstrip())


AUTHOR = click.option("--author", required=True, help="Who does it, for the audit log.")
REASON = click.option("--reason", required=True, help="Why, for the audit log.")
FILE = click.argument("file", type=click.Path(path_type=Path))
