"""A customer's time line: all that happened between us, in order of time. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billing_pipeline.customers.reading import read_customer
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

KINDS = (
    "customer", "contract", "period", "invoice", "payment", "correction", "hold", "notice", "standing", "event",
    "audit",
)  # fmt: skip
"""What an entry can be about.

`notice`: mails; `standing`: where dunning brought the customer; `event`: what Stripe told of its invoices; `audit`: the
audit log, which tells of most others once more, with who and why.
"""

TIMELINE_COLUMNS = ("occurred_at", "kind", "what", "invoice", "amount_minor", "currency", "actor", "reason")


@dataclass(frozen=True, slots=True)
class Timeline:
    """A customer's facts, and entries: occurred_at, kind, what, invoice, amount_minor, currency, actor, reason."""

    customer: dict[str, Any]
    entries: list[dict[str, Any]]


def customer_timeline(warehouse: Warehouse, customer_id: str, kinds: Sequence[str] = ()) -> Timeline:
    """Everything of these kinds (all, if none is named) about the customer, the oldest first.

    Raises:
        UserError: there is no customer with this id.
    """
    customer = read_customer(warehouse, customer_id)
    entries = warehouse.rows(
        load_sql("books/customer_timeline.sql"), customer_id=customer_id, kinds=list(kinds or KINDS)
    )
    return Timeline(customer, entries)
