"""An invoice in one pair of hands, and brought up to what Stripe says of it, before a correction touches it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from billing_pipeline.charging.rules.charging import TRANSITIONS
from billing_pipeline.charging.store import ChargeStore
from billing_pipeline.core.errors import UserError
from billing_pipeline.invoicing.invoice_reference import NamedInvoice
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice

_ENDS = ("paid", "void", "uncollectible")


class InvoiceBusy(UserError):  # noqa: N818 - reads as what happened
    """Another operator or a charging run is at work on the invoice."""


@contextmanager
def in_own_hands(warehouse: Warehouse, invoice: NamedInvoice, actor: str) -> Iterator[tuple[Connection, ChargeStore]]:
    """The invoice's lock, the one that charging takes, on an autocommit connection, until the end of the block.

    Raises:
        InvoiceBusy: somebody else has it.
    """
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        store = ChargeStore(connection, None, actor)
        with store.locked(invoice.invoice_id) as mine:
            if not mine:
                raise InvoiceBusy(f"{invoice.label}: somebody else is at work on it right now; look again afterwards")
            yield connection, store


def follow_stripe(store: ChargeStore, invoice_id: str, seen: StripeInvoice) -> str:
    """Move our charge to the end that Stripe's invoice has reached; returns the charge's state."""
    charge = store.read(invoice_id).charge
    if seen.status not in _ENDS or (charge.state, seen.status) not in TRANSITIONS:
        return charge.state
    return store.change(
        charge,
        "stripe.invoice.retrieve",
        state=seen.status,
        stripe_total_minor=seen.total_minor,
        stripe_currency=seen.currency,
        evidence={"stripe_invoice": seen.id, "status": seen.status},
    ).state
