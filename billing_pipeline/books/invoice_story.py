"""An invoice with all that hangs on it: lines, payments, what was taken back, and what happened. Changes nothing."""

from dataclasses import dataclass
from typing import Any

from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.invoicing.reading import lines_of, list_invoices
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class InvoiceStory:
    """An invoice as `list_invoices` has it, payments, refunds and disputes as Stripe last showed them.

    `history` is the audit log of the invoice and its credit notes, `events` are Stripe's: the oldest first.
    """

    invoice: Row
    lines: list[Row]
    payments: list[Row]
    refunds: list[Row]
    disputes: list[Row]
    credit_notes: list[Row]
    history: list[Row]
    events: list[Row]


def invoice_story(warehouse: Warehouse, reference: str) -> InvoiceStory:
    """The invoice of this number (INV-00000001) or id, a draft too.

    Raises:
        InvoiceUnknown: there is none.
    """
    invoice_id = find_invoice(warehouse, reference).invoice_id
    [invoice] = list_invoices(warehouse, invoice_id=invoice_id)

    def of_it(name: str) -> list[Row]:
        return warehouse.rows(load_sql(f"books/{name}.sql"), invoice_id=invoice_id)

    return InvoiceStory(
        invoice=invoice,
        lines=lines_of(warehouse, invoice_id),
        payments=of_it("invoice_payments"),
        refunds=of_it("invoice_refunds"),
        disputes=of_it("invoice_disputes"),
        credit_notes=of_it("invoice_credit_notes"),
        history=of_it("invoice_history"),
        events=of_it("invoice_events"),
    )
