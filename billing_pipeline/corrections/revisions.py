"""Invoices that were voided at Stripe and not by us: what waits for a person, and adopting the revision made there.

The other decisions are void_invoice's: with `rebill` the period is billed again here, without it never.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.postgres.asset_months import owned_month
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline.stripe_gateway.rules.correcting_api import VoidingApi


class RevisionRefused(UserError):  # noqa: N818 - reads as what happened
    """There is no revision that could be adopted; the text says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A revision at Stripe that bills a period instead of our void invoice; `total_minor` in minor units."""

    number: str
    stripe_invoice_id: str
    status: str
    total_minor: int
    currency: str


def voids_to_decide(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Rows of billing.voids_to_decide, the oldest first."""
    return warehouse.rows("SELECT * FROM billing.voids_to_decide ORDER BY seen_at, number")


def adopt_revision(warehouse: Warehouse, api: VoidingApi, reference: str, signature: Signature) -> Adopted:
    """Let the revision that was made at Stripe bill the period: nothing is billed again here.

    It need not carry our metadata: Stripe itself says which invoice took the place of ours. Its amount is recorded with
    the decision; it is no invoice of ours, so it is in no revenue here.

    Raises:
        RevisionRefused: the invoice does not wait for a decision, Stripe shows no revision of it, or the revision is a
            draft, void, or another customer's or currency's.
        StripeFailure: Stripe could not be asked.
    """
    invoice = find_invoice(warehouse, reference)
    waiting = [row for row in voids_to_decide(warehouse) if str(row["invoice_id"]) == invoice.invoice_id]
    if not waiting:
        raise RevisionRefused(
            f"{invoice.label}: expected an invoice that was voided at Stripe and waits for a decision"
        )
    ours = api.retrieve_invoice(waiting[0]["stripe_invoice_id"])
    if ours.revision_id is None:
        raise RevisionRefused(
            f"{invoice.label}: {ours.id} has no revision at Stripe; `billing void {invoice.label} --rebill` bills its"
            " period again, `--no-rebill` leaves it"
        )
    revision = api.retrieve_invoice(ours.revision_id)
    _require_adoptable(ours, revision)
    values = {
        "invoice_id": invoice.invoice_id,
        "author": signature.author,
        "reason": signature.reason,
        "stripe_invoice_id": revision.id,
        "total_minor": revision.total_minor,
    }
    try:
        with owned_month(warehouse, invoice.billing_month) as connection:
            connection.execute(text(_LIFT), values)
            connection.execute(text(load_sql("corrections/adopt_revision.sql")), values)
    except DBAPIError as error:
        raise RevisionRefused(f"{invoice.label}: {database_reason(error)}") from error
    return Adopted(invoice.label, revision.id, str(revision.status), revision.total_minor, revision.currency)


def _require_adoptable(ours: StripeInvoice, revision: StripeInvoice) -> None:
    if revision.status in ("draft", "void"):
        raise RevisionRefused(
            f"{revision.id} is {revision.status}: expected a revision that is open, paid or written off"
        )
    if (revision.customer_id, revision.currency) != (ours.customer_id, ours.currency):
        amount = format_minor(revision.total_minor, revision.currency)
        raise RevisionRefused(f"{revision.id} over {amount} is another customer's or in another currency")


_LIFT = """
UPDATE billing.unbilled_periods SET lifted_by = :author, lifted_at = clock_timestamp()
WHERE invoice_id = CAST(:invoice_id AS uuid) AND lifted_at IS NULL AND NOT decided
"""
