"""One customer's drafts of a month by themselves, by the statements that draft the month.

All of it is one transaction that owns the month: a run of the month sees all of it or nothing, between two of its steps
as well, and what died in the middle never was. The rows of the others stay as they are, and until when they were read.
Before it the customer's drafts of months that no run will charge give their adjustments back, each month by itself, as
before the month's run.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.invoicing import invoices
from billing_pipeline.invoicing.billing_periods import lay_out
from billing_pipeline.invoicing.invoice_line_items import price_customer
from billing_pipeline.postgres.asset_months import Built, kept_together, owned_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.usage_snapshots import BuiltSnapshots, measure


@dataclass(frozen=True)
class DraftedCustomer:
    """What drafting did to the customer's own rows of the month."""

    usage_snapshots: BuiltSnapshots
    invoice_line_items: Built
    invoices: Built


@dataclass(frozen=True, slots=True)
class Reading:
    """What an operator may say about the usage: as for a month (usage_snapshots.build)."""

    as_of: datetime | None = None
    carry_forward: bool = False


def draft_customer(
    warehouse: Warehouse,
    month: date,
    customer: str,
    run_id: str,
    now: datetime,
    *,
    oldest: date = date.min,
    reading: Reading = Reading(),
) -> DraftedCustomer:
    """Build the customer's periods, usage, lines and drafts of the month anew: the rows that the month's run gives.

    Args:
        warehouse: the billing database.
        month: the partition, which has been drafted for everybody before.
        customer: whose drafts.
        run_id: who builds.
        now: periods that end later are left out.
        oldest: the first month that is not too old to be charged (rules.adjustments.oldest_charged); default: any.
        reading: how the usage is read.

    Raises:
        NotFound: there is no such customer.
        UserError: the month is closed or was never drafted, or what is billed of the customer is final.
    """
    with owned_month(warehouse, month) as connection:
        require_draftable(connection, month, customer)
    for passed_over in invoices.passed_over_months(warehouse, month, oldest, customer):
        with owned_month(warehouse, passed_over) as connection, kept_together(connection, passed_over):
            invoices.draft(connection, passed_over, run_id, oldest, customer)
    with owned_month(warehouse, month) as connection, kept_together(connection, month):
        require_draftable(connection, month, customer)
        lay_out(connection, month, now, customer)
        return DraftedCustomer(
            usage_snapshots=measure(
                connection,
                month,
                run_id,
                as_of=reading.as_of,
                carry_forward=reading.carry_forward,
                customer=customer,
            ),
            invoice_line_items=price_customer(connection, month, customer, run_id),
            invoices=invoices.draft(connection, month, run_id, oldest, customer),
        )


def require_draftable(connection: Connection, month: date, customer: str) -> None:
    """Refuse, in one line, a customer whose drafts of the month cannot be built by themselves.

    Raises:
        NotFound: there is no such customer.
        UserError: the month is closed or was never drafted, or what is billed of the customer is final.
    """
    found = connection.execute(text(_STANDING), {"month": month, "customer": customer}).one()
    if not found.is_known:
        raise NotFound(f'customer "{customer}": expected one that was imported, found none')
    if found.is_closed:
        raise UserError(f"month {month:%Y-%m} is closed: what it billed does not change any more")
    if not found.is_drafted:
        raise UserError(
            f"month {month:%Y-%m} has not been drafted: its gates are of all its customers, so it is drafted for all of"
            f" them first (billing run --month {month:%Y-%m} --through invoices)"
        )
    if found.final_number is not None and not found.has_open_periods:
        number = found.final_number
        raise UserError(
            f"customer {customer}: invoice {number} of {month:%Y-%m} is final and stays as it is: void it and bill it"
            f" again (billing void {number} --rebill), or correct it (billing credit issue, billing adjust)"
        )


_STANDING = """
SELECT
    EXISTS (SELECT FROM billing.customers AS c WHERE c.customer_id = :customer) AS is_known,
    EXISTS (
        SELECT FROM billing.month_books AS b WHERE b.billing_month = :month AND b.closed_at IS NOT NULL
    ) AS is_closed,
    EXISTS (
        SELECT FROM billing.asset_months AS m
        WHERE m.asset = 'invoices' AND m.billing_month = :month AND m.run_id IS NOT NULL
    ) AS is_drafted,
    (
        SELECT min(i.number) FROM billing.invoices AS i
        WHERE i.customer_id = :customer AND i.billing_month = :month AND i.supplement_no = 0
            AND billing.is_final(i.status)
    ) AS final_number,
    EXISTS (
        SELECT FROM billing.billing_periods AS p
        WHERE p.customer_id = :customer AND p.billing_month = :month AND NOT EXISTS (
            SELECT FROM billing.invoices AS i
            WHERE i.period_id = p.period_id AND i.supplement_no = 0 AND billing.is_final(i.status)
        )
    ) AS has_open_periods
"""
