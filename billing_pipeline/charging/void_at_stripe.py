"""Voiding one finalised invoice, once: Stripe is asked first, and ours is void only when nothing there can be paid.

The invoice's lock is held throughout, so no charging run works on it meanwhile; no transaction is open during a call.
Running it again after it was cut off goes on from what Stripe says. What else stands in the way of a correction
(credit notes, supplements) is looked at in corrections/void_invoice.py, through which every command goes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

from billing_pipeline.charging.exclusive import InvoiceBusy, exclusive
from billing_pipeline.charging.follow_stripe import follow_stripe
from billing_pipeline.charging.rules.charge_at_stripe import payment_under_way
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.rules.charging import Charge, void_key
from billing_pipeline.charging.store import ChargeStore, listing_start
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.correcting_api import VoidingApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

TRIES_MAX = 5
PAUSE_FIRST_S = 0.2


class VoidRefused(UserError):  # noqa: N818 - reads as what happened
    """The invoice cannot be voided, or nobody knows yet whether it is. Our state says no more than Stripe did."""


@dataclass(frozen=True, slots=True)
class Voided:
    """What voiding did. `stripe_invoice_ids`: what was live there and is not any more; empty if nothing was."""

    invoice_id: str
    stripe_invoice_ids: tuple[str, ...]
    already: bool = False


def void_charge(
    warehouse: Warehouse,
    api: VoidingApi,
    invoice_id: str,
    signature: Signature,
    *,
    run_id: str | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Voided:
    """Void a finalised invoice at Stripe and here; what is void already stays so and nothing is called.

    Every live invoice there that carries our id is voided, a draft deleted. It works while charging is paused, because
    it only ever takes a claim back.

    Args:
        warehouse: the billing database.
        api: Stripe.
        invoice_id: ours.
        signature: who voids, and why.
        run_id: the Dagster run, if one acts.
        sleep: waits after an answer that was lost.

    Raises:
        VoidRefused: it is unknown or a draft, is being charged right now, is paid, is being paid, or Stripe gave no
            definite answer. A payment that is found is recorded first.
        StripeFailure: Stripe does not accept the key.
    """
    _require_id(invoice_id)
    try:
        with exclusive(warehouse, invoice_id, signature.author, run_id=run_id) as store:
            return _void(warehouse, api, store, invoice_id, signature.reason, sleep)
    except InvoiceBusy as busy:
        raise VoidRefused(str(busy)) from None


def _require_id(invoice_id: str) -> None:
    try:
        UUID(invoice_id)
    except ValueError:
        raise VoidRefused(f"{invoice_id!r}: expected an invoice_id, a UUID") from None


def _void(
    warehouse: Warehouse,
    api: VoidingApi,
    store: ChargeStore,
    invoice_id: str,
    reason: str,
    sleep: Callable[[float], object],
) -> Voided:
    stored = store.find(invoice_id)
    if stored is None:
        raise VoidRefused(f"invoice {invoice_id}: expected a finalised invoice with a charge")
    charge = stored.charge
    if charge.state == "void":
        return Voided(invoice_id, (), already=True)
    if charge.state == "paid":
        raise VoidRefused(f"invoice {invoice_id} is paid: refund or credit it, a paid invoice is not voided")
    try:
        created_gte = listing_start(warehouse, stored.billing_month)
        ids = live_ids(api, charge, charge.stripe_customer_id or stored.customer_at_stripe, created_gte)
        # all are looked at before the first is voided: a payment anywhere means that a person has to decide
        found = [invoice for invoice in (retrieve(api, one) for one in ids) if invoice is not None]
        for invoice in found:
            refuse_paid(store, charge, invoice)
        for invoice in found:
            end_invoice(api, store, charge, invoice.id, sleep)
    except StripeFailure as failure:
        if failure.outcome is Outcome.STOP:
            raise
        raise VoidRefused(f"invoice {invoice_id}: Stripe cannot be asked ({failure}); nothing is recorded") from None
    ended = tuple(invoice.id for invoice in found)
    evidence = {"at_stripe": list(ended)}
    store.change(charge, ChargeChange("charge.void", "void", reason_code="voided", reason=reason, evidence=evidence))
    return Voided(invoice_id, ended)


def live_ids(api: VoidingApi, charge: Charge, stripe_customer_id: str | None, created_gte: int) -> list[str]:
    """Ids of the invoices at Stripe that may be paid or were, and are ours by metadata or by the id we stored.

    Without a customer the whole list is searched: a failover may have lost who it is.
    """
    ids = {
        invoice.id
        for invoice in api.list_invoices(created_gte, stripe_customer_id)
        if invoice.invoice_id == charge.invoice_id and invoice.is_live
    }
    if charge.stripe_invoice_id is not None:
        ids.add(charge.stripe_invoice_id)
    return sorted(ids)


def end_invoice(
    api: VoidingApi, store: ChargeStore, charge: Charge, stripe_id: str, sleep: Callable[[float], object]
) -> None:
    """Void it, or delete it if it is a draft, until Stripe says so. Whatever a call answers, the object is asked again.

    Raises:
        VoidRefused: it was paid meanwhile, or Stripe gives no definite answer.
        StripeFailure: Stripe does not allow it.
    """
    for attempt in range(1, TRIES_MAX + 1):
        invoice = retrieve(api, stripe_id)
        if invoice is None or invoice.status == "void":
            return
        refuse_paid(store, charge, invoice)
        key = void_key(charge.invoice_id, stripe_id, attempt)
        try:
            if invoice.status == "draft":
                api.delete_invoice(stripe_id, key=key)
            else:
                api.void_invoice(stripe_id, key=key)
        except StripeFailure as failure:
            if failure.outcome in (Outcome.STOP, Outcome.PARK) and failure.evidence.kind != "not_found":
                raise
            sleep(PAUSE_FIRST_S * 2 ** (attempt - 1))
    raise VoidRefused(f"invoice {charge.invoice_id}: {stripe_id} is not void after {TRIES_MAX} calls; run it again")


def retrieve(api: VoidingApi, stripe_id: str) -> StripeInvoice | None:
    """The invoice as it is now; None: it was a draft and is deleted."""
    try:
        return api.retrieve_invoice(stripe_id)
    except StripeFailure as failure:
        if failure.evidence.kind == "not_found":
            return None
        raise


def refuse_paid(store: ChargeStore, charge: Charge, invoice: StripeInvoice) -> None:
    """Refuse to take back what is paid, in part or in full, or being paid.

    What the charge's own paid invoice means for it is recorded.

    Raises:
        VoidRefused: it is.
    """
    if invoice.status == "paid":
        follow_stripe(store, charge, invoice)
        _refuse(charge, f"{invoice.id} is paid at Stripe: refund or credit it, a paid invoice is not voided")
    if invoice.paid_minor:
        paid, total = (format_minor(amount, invoice.currency) for amount in (invoice.paid_minor, invoice.total_minor))
        _refuse(
            charge,
            f"{paid} of the {total} of {invoice.id} is paid: what is paid in part is not voided;"
            " credit the rest, or write it off: `billing charges write-off`",
        )
    if payment_under_way(invoice):
        _refuse(charge, f"a payment of {invoice.id} is {invoice.payment_status}: try again when it has ended")


def _refuse(charge: Charge, why: str) -> NoReturn:
    raise VoidRefused(f"invoice {charge.invoice_id}: {why}")
