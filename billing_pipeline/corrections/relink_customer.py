"""Giving a customer another customer at Stripe, after the one before was deleted there; its unfinished charges go on.

The decision is written first, then each charge is looked at under its invoice's lock and by what Stripe shows of it
(charging/rules/relinking.py). Run again after it was cut off, it goes on with what is left.
"""

from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import text

from billing_pipeline.charging.another_customer import RelinkRefused, give_another
from billing_pipeline.charging.exclusive import InvoiceBusy, exclusive
from billing_pipeline.charging.follow_stripe import follow_stripe
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.rules.charging import STAGES, Charge
from billing_pipeline.charging.rules.relinking import BeginsAnew, IsBilledAgain, StaysThere, what_becomes_of_it
from billing_pipeline.charging.store import ChargeMoved, ChargeStore, listing_start
from billing_pipeline.charging.void_at_stripe import VoidRefused, end_invoice, live_ids, retrieve
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.postgres.locks import customer_at_stripe_lock_key
from billing_pipeline.postgres.session_lock import session_lock
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.correcting_api import RelinkingApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

_ENDED = frozenset(state for state, stage in STAGES.items() if stage == STAGES["paid"])


@dataclass(frozen=True, slots=True)
class BilledAgain:
    """An invoice that was void at Stripe and here because it was issued to the customer that is gone."""

    number: str
    billing_month: date


@dataclass
class Relinked:
    """What was done. Invoices by their numbers.

    `going_on`: charges that begin anew at the customer `now`; the next run, or a retry, charges them. `billed_again`:
    void, their months' next run drafts what replaces them. `left`: what needs something else, and what.
    """

    customer_id: str
    before: str
    now: str
    going_on: list[str] = field(default_factory=list)
    billed_again: list[BilledAgain] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def relink_customer(
    warehouse: Warehouse, api: RelinkingApi, customer_id: str, signature: Signature, *, to: str | None = None
) -> Relinked:
    """Make `to`, or a new customer, the customer's at Stripe, and let the charges go on that stand on the one before.

    Args:
        warehouse: the billing database.
        api: Stripe.
        customer_id: ours.
        signature: who decides, and why.
        to: a customer that is there (cus_…); None: one that carries our key already, or else a new one.

    Raises:
        RelinkRefused: the one before is not deleted, `to` is not there or is another's, there is nothing to do, or
            somebody else is at it.
        StripeFailure: Stripe could not be asked; the same command goes on.
    """
    with (
        warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        session_lock(connection, customer_at_stripe_lock_key(customer_id)) as is_ours,
    ):
        if not is_ours:
            raise RelinkRefused(f"customer {customer_id}: somebody else gives it another customer at Stripe right now")
        done = Relinked(customer_id, *give_another(warehouse, api, customer_id, signature, to))
        for row in warehouse.rows(_UNFINISHED, customer_id=customer_id):
            _go_on(warehouse, api, done, row["invoice_id"], row["number"], signature)
    if done.before == done.now and not (done.going_on or done.billed_again or done.left):
        raise RelinkRefused(f"customer {customer_id}: {done.now} is there, and no charge stands on another one")
    return done


def _go_on(
    warehouse: Warehouse, api: RelinkingApi, done: Relinked, invoice_id: str, number: str, signature: Signature
) -> None:
    try:
        with exclusive(warehouse, invoice_id, signature.author, label=number) as store:
            becomes = _begin_anew(warehouse, api, store, done, invoice_id, signature)
        match becomes:
            case BeginsAnew():
                done.going_on.append(number)
            case StaysThere(why):
                done.left[number] = why
            case IsBilledAgain():
                named, _ = void_invoice(warehouse, api, invoice_id, signature)
                done.billed_again.append(BilledAgain(number, named.billing_month))
    except (InvoiceBusy, ChargeMoved):
        done.left[number] = "is being charged right now: say it again when that has ended"
    except VoidRefused as refused:
        done.left[number] = str(refused)
    except StripeFailure as failure:
        if failure.outcome is Outcome.STOP:
            raise
        done.left[number] = f"Stripe: {failure}; say it again"


def _begin_anew(
    warehouse: Warehouse,
    api: RelinkingApi,
    store: ChargeStore,
    done: Relinked,
    invoice_id: str,
    signature: Signature,
) -> BeginsAnew | IsBilledAgain | StaysThere | None:
    """What becomes of the charge; done already where it begins anew. None: it does not stand on another customer."""
    stored = store.read(invoice_id)
    charge = stored.charge
    if charge.state in _ENDED or charge.stripe_customer_id in (None, done.now):
        return None
    ids = live_ids(api, charge, charge.stripe_customer_id, listing_start(warehouse, stored.billing_month))
    found = [invoice for invoice in (retrieve(api, one) for one in ids) if invoice is not None]
    becomes = what_becomes_of_it(found)
    match becomes:
        case StaysThere():
            for invoice in found:
                charge = follow_stripe(store, charge, invoice)
        case BeginsAnew(drafts):
            for draft in drafts:
                end_invoice(api, store, charge, draft, lambda _: None)
            _write(warehouse, charge, done.now, signature)
    return becomes


def _write(warehouse: Warehouse, charge: Charge, to: str, signature: Signature) -> None:
    with warehouse.transaction() as connection:
        store = ChargeStore(connection, None, signature.author)
        if charge.state != "parked":
            parked = ChargeChange("charge.park", "parked", reason_code="customer_missing", reason=signature.reason)
            charge = store.change(charge, parked)
        values = {
            "invoice_id": charge.invoice_id,
            "attempt": charge.attempt,
            "from_stripe_customer_id": charge.stripe_customer_id,
            "to_stripe_customer_id": to,
            "from_stripe_invoice_id": charge.stripe_invoice_id,
            "author": signature.author,
            "reason": signature.reason,
        }
        connection.execute(text(_RELINK_CHARGE), values)
        if connection.execute(text(load_sql("corrections/relink_charge.sql")), values).rowcount != 1:
            raise ChargeMoved(f"charge {charge.invoice_id} is not as it was looked at")


_UNFINISHED = """
SELECT c.invoice_id::text AS invoice_id, i.number
FROM billing.stripe_charges AS c JOIN billing.invoices AS i USING (invoice_id)
WHERE c.customer_id = :customer_id AND c.state NOT IN ('paid', 'void', 'uncollectible')
ORDER BY i.invoice_number
"""
_RELINK_CHARGE = """
WITH relinked AS (
    INSERT INTO billing.charge_relinks (
        invoice_id, attempt, from_stripe_customer_id, to_stripe_customer_id, from_stripe_invoice_id, author, reason
    ) VALUES (
        CAST(:invoice_id AS uuid), :attempt + 1, :from_stripe_customer_id, :to_stripe_customer_id,
        :from_stripe_invoice_id, :author, :reason
    ) RETURNING *
)
SELECT billing.log_action(
    author, 'charge.relink', 'invoice', invoice_id::text, reason,
    state_before => jsonb_build_object('state', 'parked', 'stripe_customer_id', from_stripe_customer_id,
        'stripe_invoice_id', from_stripe_invoice_id),
    state_after => jsonb_build_object('state', 'intended', 'stripe_customer_id', to_stripe_customer_id)
) FROM relinked
"""
