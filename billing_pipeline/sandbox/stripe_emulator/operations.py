"""Every operation that the emulator has. What is not in this table answers 404 in Stripe's words."""

from __future__ import annotations

from . import (
    billing_portal,
    catalog,
    checkout_sessions,
    collection,
    credit_notes,
    customer_balance,
    customer_deletion,
    customers,
    disputes,
    events,
    finalising,
    invoice_endings,
    invoice_items,
    invoice_lines,
    invoice_payments,
    invoices,
    payment_intents,
    payment_methods,
    refunds,
    setup_intents,
    subscriptions,
    webhook_endpoints,
)
from .routes import Route

ROUTES: tuple[Route, ...] = (
    *customers.ROUTES,
    *customer_deletion.ROUTES,
    *customer_balance.ROUTES,
    *payment_methods.ROUTES,
    *invoices.ROUTES,
    *invoice_lines.ROUTES,
    *invoice_items.ROUTES,
    *finalising.ROUTES,
    *collection.ROUTES,
    *invoice_endings.ROUTES,
    *invoice_payments.ROUTES,
    *payment_intents.ROUTES,
    *refunds.ROUTES,
    *disputes.ROUTES,
    *credit_notes.ROUTES,
    *setup_intents.ROUTES,
    *checkout_sessions.ROUTES,
    *billing_portal.ROUTES,
    *catalog.ROUTES,
    *subscriptions.ROUTES,
    *events.ROUTES,
    *webhook_endpoints.ROUTES,
)
