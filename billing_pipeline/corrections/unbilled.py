"""Periods that are not billed again after their invoice was voided, because somebody decided so."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.invoice_reference import NamedInvoice
from billing_pipeline.postgres.asset_months import owned_month
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.warehouse import Warehouse


class UnbilledRefused(UserError):  # noqa: N818 - reads as what happened
    """The period cannot be left unbilled; the text says why. Nothing was changed."""


def leave_unbilled(warehouse: Warehouse, invoice: NamedInvoice, signature: Signature) -> None:
    """Decide that the invoice's period gets no other invoice, and drop its draft; deciding it again changes nothing.

    It has no effect until the invoice is void, so it is decided before voiding: no run can bill the period in between.

    Raises:
        UnbilledRefused: the period was billed again, or it is a supplementary invoice, whose adjustments wait.
    """
    values = {"invoice_id": invoice.invoice_id, "author": signature.author, "reason": signature.reason}
    try:
        with owned_month(warehouse, invoice.billing_month) as connection:
            if connection.execute(text(_DECIDED), values).scalar():
                return
            connection.execute(text(_LIFT_UNDECIDED), values)
            drafts = connection.execute(text(_DROP_DRAFT), values).scalars().all()
            connection.execute(text(_DROP_LINES), {"ids": drafts})
            connection.execute(text(_DECIDE), values)
    except DBAPIError as error:
        raise UnbilledRefused(f"{invoice.label}: {database_reason(error)}") from error


def bill_again(warehouse: Warehouse, invoice: NamedInvoice, *, author: str) -> bool:
    """Lift a decision that the invoice's period is not billed again; False: there was none."""
    with warehouse.transaction() as connection:
        lifted = connection.execute(text(_LIFT), {"invoice_id": invoice.invoice_id, "author": author}).rowcount
    return lifted > 0


_DECIDED = """
SELECT EXISTS (
    SELECT FROM billing.unbilled_periods
    WHERE invoice_id = CAST(:invoice_id AS uuid) AND lifted_at IS NULL AND decided
)
"""
_LIFT_UNDECIDED = """
UPDATE billing.unbilled_periods SET lifted_by = :author, lifted_at = clock_timestamp()
WHERE invoice_id = CAST(:invoice_id AS uuid) AND lifted_at IS NULL AND NOT decided
"""
_DROP_DRAFT = """
DELETE FROM billing.invoices AS d USING billing.invoices AS i
WHERE i.invoice_id = CAST(:invoice_id AS uuid) AND d.period_id = i.period_id AND d.supplement_no = 0
    AND i.supplement_no = 0 AND d.status = 'draft'
RETURNING d.invoice_id
"""
_DROP_LINES = "DELETE FROM billing.invoice_line_items WHERE invoice_id = ANY(:ids)"
_DECIDE = """
WITH decided AS (
    INSERT INTO billing.unbilled_periods (period_id, invoice_id, author, reason)
    SELECT period_id, invoice_id, :author, :reason FROM billing.invoices WHERE invoice_id = CAST(:invoice_id AS uuid)
    RETURNING *
)
SELECT billing.log_action(
    author, 'period.leave_unbilled', 'invoice', invoice_id::text, reason,
    state_after => jsonb_build_object('period_id', period_id)
) FROM decided
"""
_LIFT = """
WITH lifted AS (
    UPDATE billing.unbilled_periods SET lifted_by = :author, lifted_at = clock_timestamp()
    WHERE invoice_id = CAST(:invoice_id AS uuid) AND lifted_at IS NULL
    RETURNING *
)
SELECT billing.log_action(
    lifted_by, 'period.bill_again', 'invoice', invoice_id::text,
    state_after => jsonb_build_object('period_id', period_id)
) FROM lifted
"""
