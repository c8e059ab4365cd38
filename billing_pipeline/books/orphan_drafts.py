"""Delete a draft at Stripe that carries our id and stands for nothing: on an operator's word, after looking again."""

import json
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.events.rules.stripe_events import is_our_id
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway


@dataclass(frozen=True, slots=True)
class DeletedDraft:
    """A draft that is gone, and whose invoice it carried."""

    stripe_invoice_id: str
    invoice_id: str


def delete_orphan_draft(
    warehouse: Warehouse, gateway: StripeGateway, stripe_invoice_id: str, signature: Signature
) -> DeletedDraft:
    """Delete the draft, unless it is the one that a charge stands on or could still adopt.

    The invoice's charge is locked meanwhile, so that no charging run adopts the draft under our hands.

    Raises:
        UserError: it is no orphan draft of ours, or a run is charging the invoice; nothing was deleted.
        StripeFailure: Stripe refused, or did not answer: run it again.
    """
    draft = gateway.retrieve_invoice(stripe_invoice_id)
    if not is_our_id(draft.invoice_id):
        raise UserError(f"{stripe_invoice_id} does not carry an invoice of ours: it is somebody else's")
    invoice_id = str(draft.invoice_id)
    with exclusive(warehouse, invoice_id, signature.author) as charges:
        connection = charges.connection
        total_minor = _delete(connection, gateway, stripe_invoice_id, invoice_id)
        before = json.dumps({"status": "draft", "invoice_id": invoice_id, "total": total_minor})
        connection.execute(text(_LOG), {**asdict(signature), "id": stripe_invoice_id, "before": before})
    return DeletedDraft(stripe_invoice_id, invoice_id)


def _delete(connection: Connection, gateway: StripeGateway, stripe_invoice_id: str, invoice_id: str) -> int:
    """Look again under the lock, delete, and give the total that the draft had."""
    draft = gateway.retrieve_invoice(stripe_invoice_id)
    if draft.status != "draft":
        raise UserError(f"{stripe_invoice_id} is {draft.status}: only a draft is deleted")
    charge = connection.execute(text(_CHARGE), {"invoice_id": invoice_id}).first()
    if charge is not None and charge.state != "void":
        if charge.stripe_invoice_id == stripe_invoice_id:
            raise UserError(f"{stripe_invoice_id} is the draft of charge {invoice_id}, which is {charge.state}")
        if charge.stripe_invoice_id is None and charge.state != "parked":
            raise UserError(f"charge {invoice_id} is {charge.state}: charge_month would adopt {stripe_invoice_id}")
    gateway.delete_invoice(stripe_invoice_id, key=f"{stripe_invoice_id}:delete")
    return draft.total_minor


_CHARGE = "SELECT state, stripe_invoice_id FROM billing.stripe_charges WHERE invoice_id = CAST(:invoice_id AS uuid)"
_LOG = """
SELECT billing.log_action(
    :author, 'stripe.invoice.delete', 'stripe_invoice', :id, :reason, CAST(:before AS jsonb), '{"status": "deleted"}'
)
"""
