"""The invoice that an operator names, by its number or its id, and what a correction needs to know of it."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from billing_pipeline.core.errors import NotFound
from billing_pipeline.postgres.warehouse import Warehouse


class InvoiceUnknown(NotFound):
    """No invoice has this number or id."""


@dataclass(frozen=True, slots=True)
class NamedInvoice:
    """An invoice as it stands. Amounts in minor units of `currency`; `number` None: a draft.

    `due_minor` is what Stripe is asked for: the total less `credits_minor`, which prepaid credits paid.
    `supplement_no` is 0 for a period's own invoice.
    """

    invoice_id: str
    number: str | None
    customer_id: str
    billing_month: date
    currency: str
    total_minor: int
    due_minor: int
    credits_minor: int
    status: str
    charge_state: str | None
    stripe_invoice_id: str | None
    credited_minor: int
    refunded_minor: int
    supplement_no: int

    @property
    def label(self) -> str:
        """As people write it."""
        return self.number or f"draft {self.invoice_id}"


def find_invoice(warehouse: Warehouse, reference: str) -> NamedInvoice:
    """The invoice with this number (INV-00000001, or 1) or id.

    Raises:
        InvoiceUnknown: there is none.
    """
    found = warehouse.rows(_FIND, **_number_or_id(reference.strip()))
    if not found:
        raise InvoiceUnknown(f'invoice "{reference}": expected the number or the id of an invoice, found none')
    return NamedInvoice(**found[0])


def find_final_invoice(warehouse: Warehouse, reference: str) -> NamedInvoice:
    """The same of an invoice that is finalised; also of one that is void by now.

    Raises:
        InvoiceUnknown: there is none, or it is a draft.
    """
    found = warehouse.rows(_FIND, **_number_or_id(reference.strip()))
    if not found or found[0]["status"] == "draft":
        raise InvoiceUnknown(
            f'invoice "{reference}": expected the number or the id of a finalised invoice, such as INV-00000001'
        )
    return NamedInvoice(**found[0])


def _number_or_id(reference: str) -> dict[str, str | None]:
    try:
        return {"number": None, "invoice_id": str(UUID(reference))}
    except ValueError:
        plain = reference.isascii() and reference.isdigit()
        return {"number": f"INV-{reference:0>8}" if plain else reference.upper(), "invoice_id": None}


_FIND = """
SELECT i.invoice_id::text AS invoice_id, i.number, i.customer_id, i.billing_month, i.currency, i.total_minor,
    i.due_minor, i.credits_minor, i.status, c.state AS charge_state, c.stripe_invoice_id,
    coalesce(k.credited_minor, 0) AS credited_minor, coalesce(k.refunded_minor, 0) AS refunded_minor, i.supplement_no
FROM billing.invoices AS i
LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
LEFT JOIN billing.invoice_credits AS k USING (invoice_id)
WHERE i.number = :number OR i.invoice_id = cast(:invoice_id AS uuid)
"""
