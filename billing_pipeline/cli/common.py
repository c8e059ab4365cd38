"""What the commands share: parameter types, the opened database, errors in one line. No command belongs here."""

import re
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from billing_pipeline.adapters.stripe_gateway import StripeGateway
    from billing_pipeline.adapters.warehouse import Warehouse


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
    from billing_pipeline.adapters.migrations import migrate
    from billing_pipeline.adapters.warehouse import open_warehouse

    warehouse = open_warehouse(load_settings())
    migrate(warehouse)
    return warehouse


@contextmanager
def opened_stripe() -> "Iterator[StripeGateway]":
    """Stripe as the environment names it, or the emulator with its state; what it does not do is the user's to read."""
    from billing_pipeline.adapters.stripe_gateway import open_gateway
    from billing_pipeline.core.stripe_errors import StripeFailure
    from billing_pipeline.sandbox.local_stripe import stripe_for

    with stripe_for(load_settings()):
        # read anew: the emulator's address came with its start
        gateway = open_gateway(load_settings())
        try:
            yield gateway
        except StripeFailure as failure:
            raise UserError(f"Stripe: {failure}") from None
        finally:
            gateway.close()


FILE = click.argument("file", type=click.Path(path_type=Path))
