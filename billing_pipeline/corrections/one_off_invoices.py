"""One-off invoices: an amount that a customer is billed for by itself, without waiting for the next invoice.

It is an adjustment on a supplementary invoice (supplements.py) of the last period that the customer was billed for, so
gates, numbers, seals, charging, credit notes and revenue take it as any other invoice. The period's own lines, and what
they drift by, know nothing of it.
"""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import (
    AdjustmentRefused,
    NewAdjustment,
    new_adjustment,
    write_adjustment,
)
from billing_pipeline.corrections.supplements import draft_supplement
from billing_pipeline.postgres.asset_months import owned_month
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.warehouse import Warehouse

RUN_ID = "by hand"


@dataclass(frozen=True, slots=True)
class OneOffInvoice:
    """The draft, the month whose charging makes it final and charges it, and what is on it."""

    invoice_id: str
    billing_month: date
    billed: NewAdjustment


def bill_at_once(
    warehouse: Warehouse, customer_id: str, amount_minor: int, signature: Signature, *, description: str | None = None
) -> OneOffInvoice:
    """Draft an invoice over an amount, in minor units of the customer's currency.

    Like any adjustment it is made once: the same customer, amount and reason again are refused.

    Raises:
        AdjustmentRefused: the amount is not above zero, the customer is unknown or has no final invoice in its
            currency yet, the month of the last one is closed, or the amount was billed already.
    """
    if amount_minor <= 0:
        raise AdjustmentRefused(
            "amount: an invoice is over more than 0; `billing adjust` takes an amount off the next invoice"
        )
    billed = new_adjustment(warehouse, customer_id, amount_minor, signature, description)
    period = warehouse.rows(_LAST_BILLED_PERIOD, customer_id=customer_id, currency=billed.currency)
    if not period:
        raise AdjustmentRefused(
            f"customer {customer_id} has no final invoice in {billed.currency.upper()} yet: `billing adjust` puts the"
            " amount on its first one"
        )
    [last] = period
    try:
        with owned_month(warehouse, last["billing_month"]) as connection:
            write_adjustment(connection, billed, invoiced_with=last["period_id"])
            invoice_id = draft_supplement(connection, last["period_id"], RUN_ID)
            connection.execute(text(_LOG), {"invoice_id": invoice_id, "author": billed.author, "reason": billed.reason})
    except DBAPIError as error:
        raise AdjustmentRefused(
            f"customer {customer_id}: {database_reason(error)}; `billing adjust` puts the amount on the next invoice"
        ) from error
    return OneOffInvoice(invoice_id, last["billing_month"], billed)


_LAST_BILLED_PERIOD = """
SELECT p.period_id, p.billing_month
FROM billing.billing_periods AS p JOIN billing.invoices AS i USING (period_id)
WHERE p.customer_id = :customer_id AND p.currency = :currency AND i.supplement_no = 0 AND billing.is_final(i.status)
ORDER BY p.period_end DESC LIMIT 1
"""
_LOG = """
SELECT billing.log_action(:author, 'invoice.draft', 'invoice', :invoice_id, :reason)
"""
