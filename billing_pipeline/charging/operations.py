"""What a person does to one charge: try it again, take it up from where it was parked, adopt an invoice at Stripe.

Stripe is asked first, the invoice's lock is held, and who and why stand in the audit log. The call that follows goes
through month.charge_invoices_of_month, with its brakes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.reading import state_of
from billing_pipeline.charging.report import ChargeReport
from billing_pipeline.charging.rules.brakes import Limits
from billing_pipeline.charging.rules.charge_at_stripe import (
    Contradicts,
    Foreign,
    Reached,
    has_our_total,
    meaning_of,
    resumed_state,
)
from billing_pipeline.charging.rules.charge_change import ChargeChange, evidence_of
from billing_pipeline.charging.rules.charging import WORKABLE, Charge
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.charging.store import ChargeStore, StoredCharge, listing_start
from billing_pipeline.charging.void_at_stripe import end_invoice, live_ids, refuse_paid, retrieve
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.correcting_api import VoidingApi
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
        raise NotFound(f"{given}: no finalised invoice has this id or number; expected one such as INV-00000001")
    return str(found)


def require_parked(warehouse: Warehouse, invoice_id: str) -> None:
    """Refuse what is not parked.

    Raises:
        UserError: naming the state.
    """
    state = state_of(warehouse, invoice_id)
    if state != "parked":
        raise UserError(f"invoice {invoice_id} is {state}, not parked: there is nothing to decide")


def retry_charge(
    warehouse: Warehouse,
    api: VoidingApi,
    invoice_id: str,
    signature: Signature,
    *,
    limits: Limits,
    log: Callable[[str], None],
) -> ChargeReport:
    """Try a refused charge again as another attempt, or take a parked one up again from what Stripe says.

    A charge that only waits is gone on with. What parked it parks it again, if it is still so.

    Raises:
        UserError: it is paid, void or uncollectible, in other hands, charging is paused, or Stripe cannot be asked.
    """
    with _asking_stripe(warehouse, invoice_id, signature) as (store, stored):
        charge = stored.charge
        if charge.state not in ("refused", "parked", *WORKABLE):
            raise UserError(f"invoice {invoice_id} is {charge.state}: there is nothing to try again")
        if charge.state not in WORKABLE:
            _require_permission(store, invoice_id)
            stripe_id = charge.stripe_invoice_id
            at_stripe = retrieve(api, stripe_id) if stripe_id is not None else None
            # the pass that follows asks again, and records what Stripe's invoice has become
            change = ChargeChange(
                "charge.retry", resumed_state(charge, at_stripe), attempt=charge.attempt + 1, note=signature.reason
            )
            if at_stripe is not None and has_our_total(charge, at_stripe):
                change = change.showing(at_stripe)
            store.change(charge, change)
    return _go_on(warehouse, api, stored, limits, log)


def adopt_invoice(
    warehouse: Warehouse,
    api: VoidingApi,
    invoice_id: str,
    stripe_invoice_id: str,
    signature: Signature,
    *,
    limits: Limits,
    log: Callable[[str], None],
) -> ChargeReport:
    """Take an invoice at Stripe for that of a parked charge, void the others that carry its id, and go on with it.

    Raises:
        UserError: the charge is not parked or has another invoice already, the invoice is not ours in customer,
            currency, total or metadata, another one is paid, charging is paused, or Stripe cannot be asked.
    """
    with _asking_stripe(warehouse, invoice_id, signature) as (store, stored):
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
        _require_ours(replace(charge, stripe_customer_id=customer, stripe_invoice_id=stripe_invoice_id), chosen)
        created_gte = listing_start(warehouse, stored.billing_month)
        others = [found for found in live_ids(api, charge, customer, created_gte) if found != stripe_invoice_id]
        for other in others:
            if (invoice := retrieve(api, other)) is not None:
                refuse_paid(store, charge, invoice)
        for other in others:
            end_invoice(api, store, charge, other, lambda _: None)
        adopted = ChargeChange(
            "charge.adopt",
            "drafted",
            attempt=charge.attempt + 1,
            stripe_customer_id=customer,
            stripe_invoice_id=stripe_invoice_id,
            note=signature.reason,
            evidence={**evidence_of(chosen), "voided": others},
        )
        store.change(charge, adopted)
    return _go_on(warehouse, api, stored, limits, log)


@contextmanager
def _asking_stripe(
    warehouse: Warehouse, invoice_id: str, signature: Signature
) -> Iterator[tuple[ChargeStore, StoredCharge]]:
    """The charge, with the invoice's lock; Stripe's failures as errors of the command."""
    with exclusive(warehouse, invoice_id, signature.author) as store:
        try:
            yield store, store.read(invoice_id)
        except StripeFailure as failure:
            raise UserError(f"invoice {invoice_id}: Stripe: {failure}; nothing was changed here") from None


def _require_permission(store: ChargeStore, invoice_id: str) -> None:
    try:
        store.require_permission(invoice_id)
    except StripeFailure as failure:
        raise UserError(f"{failure.evidence.message}: `billing charges resume` first") from None


def _require_ours(charge: Charge, chosen: StripeInvoice) -> None:
    """Refuse what the charge could not go on with: `charge` is ours as if it had been adopted.

    Lines of a draft that are not ours are for the pass that follows to park.
    """
    match meaning_of(replace(charge, state="drafted"), chosen):
        case Reached("void"):
            raise UserError(f"{chosen.id} is void: unpark the charge with --void")
        case Foreign(_, reason):
            raise UserError(reason)
        case Contradicts(_, reason) if chosen.status != "draft":
            raise UserError(reason)


def _go_on(
    warehouse: Warehouse, api: VoidingApi, stored: StoredCharge, limits: Limits, log: Callable[[str], None]
) -> ChargeReport:
    only_this = frozenset({stored.charge.invoice_id})
    options = RunOptions(log=log, workers=1, limits=limits, only=only_this)
    return charge_invoices_of_month(warehouse, api, stored.billing_month, RUN_ID, options)
