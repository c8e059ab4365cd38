"""What a person does to one charge: try it again, take it up from where it was parked, adopt an invoice at Stripe.

Stripe is asked first, the invoice's lock is held, and who and why stand in the audit log. The call that follows goes
through month.charge_month, with its brakes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from billing_pipeline.charging.brakes import require_words
from billing_pipeline.charging.month import ChargeReport, charge_month
from billing_pipeline.charging.rules.brakes import Limits
from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.charging.store import ChargeStore, StoredCharge, listing_start
from billing_pipeline.charging.void_at_stripe import end_invoice, live_ids, refuse_paid, retrieve
from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice, VoidingApi
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

RUN_ID = "cli"


def invoice_named(warehouse: Warehouse, given: str) -> str:
    """The invoice_id of a finalised invoice, given that or its number.

    Raises:
        UserError: there is none.
    """
    try:
        condition, value = "i.invoice_id = CAST(:given AS uuid)", str(UUID(given))
    except ValueError:
        condition, value = "i.number = :given", given.upper()
    found = warehouse.scalar(
        "SELECT c.invoice_id::text FROM billing.stripe_charges AS c JOIN billing.invoices AS i USING (invoice_id)"
        f" WHERE {condition}",
        given=value,
    )
    if found is None:
        raise UserError(f"{given}: no finalised invoice has this id or number; expected one such as INV-00000001")
    return str(found)


def require_parked(warehouse: Warehouse, invoice_id: str) -> None:
    """Refuse what is not parked.

    Raises:
        UserError: naming the state.
    """
    state = warehouse.scalar("SELECT state FROM billing.stripe_charges WHERE invoice_id = :id", id=invoice_id)
    if state != "parked":
        raise UserError(f"invoice {invoice_id} is {state}, not parked: there is nothing to decide")


def retry(
    warehouse: Warehouse,
    api: VoidingApi,
    invoice_id: str,
    *,
    author: str,
    reason: str,
    limits: Limits,
    log: Callable[[str], None],
) -> ChargeReport:
    """Try a refused charge again as another attempt, or take a parked one up again from what Stripe says.

    A charge that only waits is gone on with. What parked it parks it again, if it is still so.

    Raises:
        UserError: it is paid, void or uncollectible, in other hands, charging is paused, or Stripe cannot be asked.
    """
    with _held(warehouse, invoice_id, author, reason) as (store, stored):
        charge = stored.charge
        if charge.state not in ("refused", "parked", *WORKABLE):
            raise UserError(f"invoice {invoice_id} is {charge.state}: there is nothing to try again")
        if charge.state not in WORKABLE:
            _require_permission(store, invoice_id)
            stripe_id = charge.stripe_invoice_id
            at_stripe = retrieve(api, stripe_id) if stripe_id is not None else None
            ours = at_stripe if at_stripe is not None and _same_amount(stored, at_stripe) else None
            if charge.state == "refused" or (ours is not None and ours.status == "open"):
                state = "finalized"
            else:
                state = "drafted" if stripe_id is not None else "intended"
            # the pass that follows asks again, and records what Stripe's invoice has become
            store.change(
                charge,
                "charge.retry",
                state=state,
                attempt=charge.attempt + 1,
                note=reason,
                stripe_total_minor=ours.total_minor if ours is not None else None,
                stripe_currency=ours.currency if ours is not None else None,
            )
    return _go_on(warehouse, api, stored, limits, log)


def adopt(
    warehouse: Warehouse,
    api: VoidingApi,
    invoice_id: str,
    stripe_invoice_id: str,
    *,
    author: str,
    reason: str,
    limits: Limits,
    log: Callable[[str], None],
) -> ChargeReport:
    """Take an invoice at Stripe for that of a parked charge, void the others that carry its id, and go on with it.

    Raises:
        UserError: the charge is not parked or has another invoice already, the invoice is not ours in customer,
            currency, total or metadata, another one is paid, charging is paused, or Stripe cannot be asked.
    """
    with _held(warehouse, invoice_id, author, reason) as (store, stored):
        charge = stored.charge
        if charge.state != "parked":
            raise UserError(f"invoice {invoice_id} is {charge.state}, not parked: there is nothing to adopt for")
        if charge.stripe_invoice_id not in (None, stripe_invoice_id):
            raise UserError(
                f"invoice {invoice_id} has {charge.stripe_invoice_id} at Stripe, which is set once:"
                " adopt that one, or unpark it with --void"
            )
        _require_permission(store, invoice_id)
        chosen = retrieve(api, stripe_invoice_id)
        if chosen is None:
            raise UserError(f"{stripe_invoice_id}: Stripe has no such invoice")
        customer = charge.stripe_customer_id or stored.customer_at_stripe or chosen.customer_id
        _require_ours(stored, chosen, customer)
        created_gte = listing_start(warehouse, stored.billing_month)
        others = [one for one in live_ids(api, charge, customer, created_gte) if one != stripe_invoice_id]
        for one in others:
            other = retrieve(api, one)
            if other is not None:
                refuse_paid(store, charge, other)
        for one in others:
            end_invoice(api, store, charge, one, lambda _: None)
        store.change(
            charge,
            "charge.adopt",
            state="drafted",
            attempt=charge.attempt + 1,
            stripe_customer_id=customer,
            stripe_invoice_id=stripe_invoice_id,
            note=reason,
            evidence={"stripe_invoice": chosen.id, "status": chosen.status, "voided": others},
        )
    return _go_on(warehouse, api, stored, limits, log)


@contextmanager
def _held(
    warehouse: Warehouse, invoice_id: str, author: str, reason: str
) -> Iterator[tuple[ChargeStore, StoredCharge]]:
    """The charge, with its lock; Stripe's failures as errors of the command."""
    require_words(author=author, reason=reason)
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        store = ChargeStore(connection, None, author)
        with store.locked(invoice_id) as mine:
            if not mine:
                raise UserError(f"invoice {invoice_id} is being charged right now: try again when that has ended")
            try:
                yield store, store.read(invoice_id)
            except StripeFailure as failure:
                raise UserError(f"invoice {invoice_id}: Stripe: {failure}; nothing was changed here") from None


def _require_permission(store: ChargeStore, invoice_id: str) -> None:
    try:
        store.require_permission(invoice_id)
    except StripeFailure as failure:
        raise UserError(f"{failure.evidence.message}: `billing charges resume` first") from None


def _require_ours(stored: StoredCharge, invoice: StripeInvoice, customer: str) -> None:
    charge = stored.charge
    for name, theirs, ours in (
        ("metadata.invoice_id", invoice.invoice_id, charge.invoice_id),
        ("customer", invoice.customer_id, customer),
        ("currency", invoice.currency, charge.currency),
    ):
        if theirs != ours:
            raise UserError(f"{invoice.id} is not this invoice's: its {name} is {theirs}, expected {ours}")
    if invoice.status == "void":
        raise UserError(f"{invoice.id} is void: unpark the charge with --void")
    if invoice.status != "draft" and invoice.total_minor != charge.amount_minor:
        raise UserError(
            f"{invoice.id} is {invoice.status} with a total of {invoice.total_minor}, expected {charge.amount_minor}"
        )


def _same_amount(stored: StoredCharge, invoice: StripeInvoice) -> bool:
    return (invoice.total_minor, invoice.currency) == (stored.charge.amount_minor, stored.charge.currency)


def _go_on(
    warehouse: Warehouse, api: VoidingApi, stored: StoredCharge, limits: Limits, log: Callable[[str], None]
) -> ChargeReport:
    return charge_month(
        warehouse,
        api,
        stored.billing_month,
        RUN_ID,
        log=log,
        workers=1,
        limits=limits,
        only=frozenset({stored.charge.invoice_id}),
    )
