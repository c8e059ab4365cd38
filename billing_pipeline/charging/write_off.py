"""Giving up what is still owed of one invoice: uncollectible at Stripe, and here only when Stripe says so.

The invoice's lock is held throughout and no transaction is open during a call. What comes in later all the same is
recorded as paid, and it may still be voided.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.charging.follow_stripe import follow_stripe
from billing_pipeline.charging.rules.charge_at_stripe import Reached, meaning_of, payment_under_way
from billing_pipeline.charging.rules.charge_change import ChargeChange, evidence_of
from billing_pipeline.charging.rules.charging import Charge, write_off_key
from billing_pipeline.charging.store import ChargeMoved, ChargeStore
from billing_pipeline.charging.void_at_stripe import PAUSE_FIRST_S, TRIES_MAX
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.invoice_reference import NamedInvoice, find_invoice
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.correcting_api import WritingOffApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

WRITTEN_OFF = "written_off"
"""Reason code of a charge that a person gave up here; at Stripe it may be given up without one."""


class WriteOffRefused(UserError):  # noqa: N818 - reads as what happened
    """Nothing is written off; the text says what is done instead."""


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """What is given up, in minor units of `currency`; `already`: it was before, and nothing was called."""

    invoice_id: str
    label: str
    currency: str
    remaining_minor: int
    already: bool = False


def write_off(
    warehouse: Warehouse,
    api: WritingOffApi,
    reference: str,
    signature: Signature,
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> WrittenOff:
    """Give up what is still owed of a final invoice.

    Raises:
        WriteOffRefused: it is a draft, paid or void, Stripe has no open invoice of it, a payment is under way, or
            Stripe gave no definite answer.
        InvoiceBusy: somebody else is at work on it.
        UserError: there is no such invoice.
        StripeFailure: Stripe does not accept the key.
    """
    invoice = find_invoice(warehouse, reference)
    with exclusive(warehouse, invoice.invoice_id, signature.author, label=invoice.label) as store:
        stored = store.find(invoice.invoice_id)
        if stored is None:
            raise WriteOffRefused(f"{invoice.label} is not final: correct its usage or prices and bill its month again")
        charge = stored.charge
        stripe_id = _stripe_id(invoice, charge)
        try:
            at_stripe = api.retrieve_invoice(stripe_id)
            if charge.state == "uncollectible":
                return _written_off(invoice, at_stripe, already=True)
            _require_open(store, invoice, charge, at_stripe)
            at_stripe = _mark(api, charge, at_stripe, sleep)
        except StripeFailure as failure:
            if failure.outcome is Outcome.STOP:
                raise
            raise WriteOffRefused(f"{invoice.label}: Stripe: {failure}; nothing is recorded") from None
        change = ChargeChange(
            "charge.write_off",
            "uncollectible",
            reason_code=WRITTEN_OFF,
            reason=signature.reason,
            evidence=evidence_of(at_stripe),
        ).showing(at_stripe)
        try:
            store.change(charge, change)
        except ChargeMoved:  # Stripe's event of it was faster
            if store.read(invoice.invoice_id).charge.state != "uncollectible":
                raise
    return _written_off(invoice, at_stripe)


def _stripe_id(invoice: NamedInvoice, charge: Charge) -> str:
    """What stands for it at Stripe, where something is owed."""
    if charge.state in ("paid", "void"):
        raise _nothing_owed(invoice, charge.state)
    if charge.stripe_invoice_id is None:
        raise _not_open(invoice)
    return charge.stripe_invoice_id


def _require_open(store: ChargeStore, invoice: NamedInvoice, charge: Charge, at_stripe: StripeInvoice) -> None:
    """Refuse what Stripe would not give up or our charge could not follow; a payment that is found is recorded."""
    if at_stripe.status in ("paid", "void"):
        follow_stripe(store, charge, at_stripe)
        raise _nothing_owed(invoice, at_stripe.status)
    if at_stripe.status not in ("open", "uncollectible"):
        raise _not_open(invoice)
    if at_stripe.status == "open" and payment_under_way(at_stripe):
        raise WriteOffRefused(
            f"{invoice.label}: a payment of {at_stripe.id} is {at_stripe.payment_status}: try again when it has ended"
        )
    if meaning_of(charge, replace(at_stripe, status="uncollectible")) != Reached("uncollectible"):
        raise WriteOffRefused(
            f"{invoice.label}: {at_stripe.id} is not as we made it: `billing charges show {invoice.label}` says more"
        )


def _mark(
    api: WritingOffApi, charge: Charge, at_stripe: StripeInvoice, sleep: Callable[[float], object]
) -> StripeInvoice:
    """Mark it until Stripe shows it so. Whatever a call answers, the invoice is asked again."""
    for attempt in range(1, TRIES_MAX + 1):
        if at_stripe.status == "uncollectible":
            return at_stripe
        if at_stripe.status != "open":
            break
        try:
            api.mark_uncollectible(at_stripe.id, key=write_off_key(charge.invoice_id, at_stripe.id, attempt))
        except StripeFailure as failure:
            if failure.outcome in (Outcome.STOP, Outcome.PARK):
                raise
            sleep(PAUSE_FIRST_S * 2 ** (attempt - 1))
        at_stripe = api.retrieve_invoice(at_stripe.id)
    if at_stripe.status == "uncollectible":
        return at_stripe
    raise WriteOffRefused(f"{at_stripe.id} is {at_stripe.status} at Stripe and was not given up: look, and try again")


def _nothing_owed(invoice: NamedInvoice, state: str) -> WriteOffRefused:
    back = f"; `billing credit issue {invoice.label}` gives money back" if state == "paid" else ""
    return WriteOffRefused(f"{invoice.label} is {state}: nothing of it is owed{back}")


def _not_open(invoice: NamedInvoice) -> WriteOffRefused:
    return WriteOffRefused(
        f"{invoice.label}: Stripe has no open invoice of it: `billing void {invoice.label}` takes it back"
    )


def _written_off(invoice: NamedInvoice, at_stripe: StripeInvoice, *, already: bool = False) -> WrittenOff:
    return WrittenOff(invoice.invoice_id, invoice.label, at_stripe.currency, at_stripe.remaining_minor, already)
