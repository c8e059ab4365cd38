"""What commands open: the database and Stripe. Options are in `options`, printing in `output`; no rule belongs here."""

from typing import TYPE_CHECKING

from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from billing_pipeline.postgres.warehouse import Warehouse
    from billing_pipeline.stripe_gateway.gateway import StripeGateway


WAITS_FOR_A_PERSON = 3
"""Exit status: done, but something is refused, parked, held or quarantined. 1: failed; 2: written wrongly."""


def open_database() -> "Warehouse":
    """The configured database, migrated."""
    from billing_pipeline.postgres.engine import open_warehouse
    from billing_pipeline.postgres.migrations import migrate

    warehouse = open_warehouse(load_settings())
    migrate(warehouse)
    return warehouse


def open_stripe() -> "AbstractContextManager[StripeGateway]":
    """Stripe, or an emulator for as long as the block takes; an answer that ends the command is one line."""
    from billing_pipeline.stripe_gateway.opening import open_stripe as opened

    return opened()


def minor_units(option: str, value: str, currency: str) -> int:
    """An amount that was typed, in minor units."""
    from billing_pipeline.core.money import parse_minor

    try:
        return parse_minor(value, currency)
    except ValueError as error:
        raise UserError(f"{option} {error}") from None


def quiet(_: str) -> None:
    """Takes a line on progress: a command prints its own summary at the end."""
