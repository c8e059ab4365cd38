"""Every operation that the emulator has. What is not in this table answers 404 in Stripe's words."""

from __future__ import annotations

from . import (
    catalog,
    collection,
    credit_notes,
    customer_deletion,
    customers,
    disputes,
    events,
    invoice_items,
    invoice_lines,
    invoices,
    payment_methods,
    payments,
    refunds,
    subscriptions,
    webhook_endpoints,
)
from .routes import Route

ROUTES: tuple[Route, ...] = (
    *customers.ROUTES,
    *customer_deletion.ROUTES,
    *payment_methods.ROUTES,
    *invoices.ROUTES,
    *invoice_lines.ROUTES,
    *invoice_items.ROUTES,
    *collection.ROUTES,
    *payments.ROUTES,
    *refunds.ROUTES,
    *disputes.ROUTES,
    *credit_notes.ROUTES,
    *catalog.ROUTES,
    *subscriptions.ROUTES,
    *events.ROUTES,
    *webhook_endpoints.ROUTES,
)
