"""Disputes: what a person decides about money that a bank took back. Each decision is made once.

Giving a dispute up is asked of Stripe, and makes it lost. What is lost is either written off, or collected again by the
customer's next invoice: a paid invoice is never asked for again at Stripe.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.events.mirror import mirror_dispute
from billing_pipeline.postgres.errors import UNIQUE, database_reason, sqlstate
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure
from billing_pipeline.stripe_gateway.rules.objects import DisputeApi

# Part of the id of every adjustment that collects a dispute again: never change it.
_NAMESPACE = UUID("0b8e7c1e-5f0a-4d0c-9a55-6a1f6f0f2c7b")
WRITTEN_OFF, COLLECT_AGAIN = "written_off", "collect_again"
ANSWERABLE = "needs_response"


class DisputeRefused(UserError):  # noqa: N818 - reads as what happened
    """It is not decided like this; the text says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision about a dispute; `amount_minor`, what the bank took back, in minor units of `currency`."""

    dispute_id: str
    number: str
    customer_id: str
    amount_minor: int
    currency: str
    decision: str


def list_disputes(warehouse: Warehouse, *, all_: bool = False) -> list[dict[str, Any]]:
    """Rows of billing.disputes that wait for a person, then those that are open; `all_`: the others too."""
    return warehouse.rows(_LIST, every=all_)


def accept_dispute(warehouse: Warehouse, api: DisputeApi, dispute_id: str, signature: Signature) -> dict[str, Any]:
    """Give a dispute up at Stripe: it is lost there at once, and for good. Its row of billing.disputes as it is then.

    Run again after its answer was lost, it finds the dispute lost.

    Raises:
        DisputeRefused: there is no such dispute, it is an inquiry, or the bank has it already.
        InvoiceBusy: somebody else is at work on its invoice.
        StripeFailure: Stripe does not accept the key, or cannot be asked.
    """
    row = _known(warehouse, dispute_id)
    with exclusive(warehouse, str(row["invoice_id"]), signature.author, label=row["number"]) as store:
        dispute = api.retrieve_dispute(dispute_id)
        if dispute.status == ANSWERABLE:
            try:
                dispute = api.accept_dispute(dispute_id, key=f"{dispute_id}:accept")
            except StripeFailure as failure:
                if failure.outcome is Outcome.STOP:
                    raise
                dispute = api.retrieve_dispute(dispute_id)  # the answer was lost, or it ended meanwhile
                if dispute.status == ANSWERABLE:
                    raise
        elif dispute.status != "lost":
            raise DisputeRefused(f"dispute {dispute_id} is {dispute.status}: {_WHY_NOT.get(dispute.status, _TOO_LATE)}")
        with warehouse.transaction() as connection:
            mirror_dispute(connection, str(row["invoice_id"]), row["stripe_invoice_id"], dispute)
            connection.execute(text(_ACCEPTED), {"id": dispute_id, **_signed(signature)})
        del store
    return _known(warehouse, dispute_id)


def write_off(warehouse: Warehouse, dispute_id: str, signature: Signature) -> Decided:
    """Nobody asks for the money of a lost dispute any more. The invoice stays paid; the loss is in billing.disputes.

    Raises:
        DisputeRefused: it is not lost, or decided already.
    """
    return _decide(warehouse, dispute_id, signature, WRITTEN_OFF)


def collect_again(warehouse: Warehouse, dispute_id: str, signature: Signature) -> Decided:
    """Put the money of a lost dispute on the customer's next invoice, as an adjustment that is no new revenue.

    Raises:
        DisputeRefused: it is not lost, or decided already.
    """
    return _decide(warehouse, dispute_id, signature, COLLECT_AGAIN)


def _decide(warehouse: Warehouse, dispute_id: str, signature: Signature, decision: str) -> Decided:
    row = _known(warehouse, dispute_id)
    if row["decision"] is not None:
        raise DisputeRefused(f"dispute {dispute_id}: {row['author']} has decided already, {row['decision']}")
    if not row["waits_for_a_person"]:
        raise DisputeRefused(
            f"dispute {dispute_id} is {row['status']}: expected one that is lost;"
            f" `billing disputes accept {dispute_id}` gives up one that waits for a response"
        )
    values = {
        "dispute_id": dispute_id,
        "invoice_id": row["invoice_id"],
        "customer_id": row["customer_id"],
        "amount_minor": row["taken_back_minor"],
        "currency": row["currency"],
        "decision": decision,
        "adjustment_id": str(uuid5(_NAMESPACE, dispute_id)) if decision == COLLECT_AGAIN else None,
        "description": f"{row['number']}: payment that the bank took back",
        **_signed(signature),
    }
    try:
        with warehouse.transaction() as connection:
            if decision == COLLECT_AGAIN:
                connection.execute(text(load_sql("corrections/adjustment_make.sql")), {**values, "period_id": None})
            connection.execute(text(load_sql("corrections/dispute_decide.sql")), values)
    except DBAPIError as error:
        if sqlstate(error) == UNIQUE:
            raise DisputeRefused(f"dispute {dispute_id}: somebody else has decided meanwhile") from error
        raise DisputeRefused(database_reason(error)) from error
    return Decided(dispute_id, row["number"], row["customer_id"], row["taken_back_minor"], row["currency"], decision)


def _known(warehouse: Warehouse, dispute_id: str) -> dict[str, Any]:
    found = warehouse.rows("SELECT * FROM billing.disputes WHERE dispute_id = :id", id=dispute_id)
    if not found:
        raise DisputeRefused(f'dispute "{dispute_id}": expected one of `billing disputes list`, found none')
    return found[0]


def _signed(signature: Signature) -> dict[str, str]:
    return {"author": signature.author, "reason": signature.reason}


_TOO_LATE = "only one that waits for a response is given up"
_WHY_NOT = {
    "warning_needs_response": "an inquiry takes no money; `billing credit issue` gives it back, if it is right",
    "under_review": "the bank has the evidence and decides",
}
_LIST = """
SELECT * FROM billing.disputes
WHERE :every OR waits_for_a_person OR status NOT IN ('won', 'lost', 'warning_closed', 'prevented')
ORDER BY waits_for_a_person DESC, created_at, dispute_id
"""
_ACCEPTED = """
SELECT billing.log_action(:author, 'dispute.accept', 'dispute', CAST(:id AS text), :reason)
"""
