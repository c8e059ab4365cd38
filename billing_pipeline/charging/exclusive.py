"""An invoice's lock: the one way to open it, for a run, a person and a correction alike."""

from collections.abc import Iterator
from contextlib import contextmanager

from billing_pipeline.charging.store import ChargeStore
from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline.postgres.session_lock import session_lock
from billing_pipeline.postgres.shared_session import SharedSession
from billing_pipeline.postgres.warehouse import Warehouse


class InvoiceBusy(UserError):  # noqa: N818 - reads as what happened
    """A charging run or another person is at work on the invoice."""


@contextmanager
def exclusive(
    warehouse: Warehouse, invoice_id: str, actor: str, *, label: str | None = None, run_id: str | None = None
) -> Iterator[ChargeStore]:
    """The right to work on the invoice, until the end of the block, and its charge on the connection that holds it.

    The connection is in autocommit mode: no transaction is open while Stripe is called.

    Args:
        warehouse: the billing database.
        invoice_id: ours.
        actor: who acts, for the audit log.
        label: the invoice as people write it, for the error.
        run_id: the Dagster run; None: a person.

    Raises:
        InvoiceBusy: somebody else has it.
    """
    with (
        warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        session_lock(connection, charge_lock_key(invoice_id)) as is_ours,
    ):
        if not is_ours:
            raise InvoiceBusy(
                f"{label or f'invoice {invoice_id}'} is being charged right now, or somebody else is at work on it:"
                " try again when that has ended"
            )
        yield ChargeStore(connection, run_id, actor)


@contextmanager
def exclusive_on(
    session: SharedSession, invoice_id: str, actor: str, run_id: str | None
) -> Iterator[ChargeStore | None]:
    """`exclusive` on a session that threads share, each with an invoice of its own; None: somebody else has it.

    Raises:
        SessionLost: the session ended before.
    """
    with session.lock(charge_lock_key(invoice_id)) as is_ours:
        yield ChargeStore(session, run_id, actor) if is_ours else None
