"""Voiding an invoice that was not paid, so that its period can be billed again as the next revision.

Here: what forbids it, and whether the period is billed again; every command that voids comes through here. The calls
and the lock are charging/void_at_stripe.py's.
"""

from sqlalchemy import text

from billing_pipeline.charging.void_at_stripe import Voided, VoidRefused, void_charge
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import revoke
from billing_pipeline.corrections.supplements import draft_supplement
from billing_pipeline.corrections.unbilled import bill_again, leave_unbilled
from billing_pipeline.invoicing.invoice_reference import NamedInvoice, find_invoice
from billing_pipeline.postgres.asset_months import owned_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.correcting_api import VoidingApi


def void_invoice(
    warehouse: Warehouse, api: VoidingApi, reference: str, signature: Signature, *, rebill: bool = True
) -> tuple[NamedInvoice, Voided]:
    """Void a final, unpaid invoice: at Stripe, then here. The next run of its month drafts the revision after it.

    Without `rebill` none does, until the void invoice is voided once more with it. What a supplementary invoice carried
    is on another draft at once, or revoked.

    Raises:
        VoidRefused: it is a draft, paid, credited, or has supplementary invoices that are not void.
        UnbilledRefused: it is not to be billed again, and was already.
        UserError: there is no such invoice.
    """
    invoice = find_invoice(warehouse, reference)
    if invoice.status == "draft":
        raise VoidRefused(f"{invoice.label} is not final: correct its usage or prices and bill its month again")
    if invoice.status == "paid":
        raise _paid(invoice)
    for statement, why in _IN_THE_WAY:
        if others := warehouse.scalar(statement, invoice_id=invoice.invoice_id):
            raise VoidRefused(f"{invoice.label} is not voided: {why} {others}")
    if not rebill and not invoice.supplement_no:
        leave_unbilled(warehouse, invoice, signature)
    try:
        done = void_charge(warehouse, api, invoice.invoice_id, signature)
    except VoidRefused:
        if not rebill:
            bill_again(warehouse, invoice, author=signature.author)
        invoice = find_invoice(warehouse, reference)
        if invoice.status == "paid":
            raise _paid(invoice) from None
        raise
    if invoice.supplement_no:
        _end_supplement(warehouse, invoice, signature, rebill=rebill)
    elif rebill:
        bill_again(warehouse, invoice, author=signature.author)
    return invoice, done


def _end_supplement(warehouse: Warehouse, invoice: NamedInvoice, signature: Signature, *, rebill: bool) -> None:
    """Draft what the void invoice carried once more, or revoke it; what was done so already stays."""
    if rebill:
        with owned_month(warehouse, invoice.billing_month) as connection:
            period_id = connection.execute(text(_PERIOD), {"invoice_id": invoice.invoice_id}).scalar_one()
            draft_supplement(connection, period_id, "billing void")
        return
    for row in warehouse.rows(_WAITING, invoice_id=invoice.invoice_id):
        revoke(warehouse, row["adjustment_id"], signature)


def _paid(invoice: NamedInvoice) -> VoidRefused:
    return VoidRefused(
        f"{invoice.label} is paid and cannot be voided: `billing credit issue {invoice.label}` gives the money back"
    )


_PERIOD = "SELECT period_id FROM billing.invoices WHERE invoice_id = :invoice_id"
_WAITING = """
SELECT adjustment_id::text FROM billing.invoice_adjustments JOIN billing.waiting_adjustments USING (adjustment_id)
WHERE invoice_id = :invoice_id
"""
_CREDIT_NOTES = """
SELECT string_agg(number, ', ' ORDER BY number) FROM billing.credit_notes
WHERE invoice_id = :invoice_id AND state <> 'refused'
"""
_SUPPLEMENTS = """
SELECT string_agg(coalesce(s.number, 'a draft'), ', ' ORDER BY s.number)
FROM billing.invoices AS i JOIN billing.invoices AS s USING (period_id)
WHERE i.invoice_id = :invoice_id AND i.supplement_no = 0 AND s.supplement_no > 0 AND s.status <> 'void'
"""
_IN_THE_WAY = (
    (_CREDIT_NOTES, "a credit note has changed what is owed, credit the rest of it instead:"),
    (_SUPPLEMENTS, "first void what adds to it:"),
)
