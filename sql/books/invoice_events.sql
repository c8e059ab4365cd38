-- Grain: an event of Stripe's about the invoice :invoice_id, the oldest first.
SELECT
    e.event_id,
    e.type,
    e.received_at
FROM billing.stripe_events AS e
INNER JOIN billing.stripe_charges AS c ON e.object_id = c.stripe_invoice_id
WHERE c.invoice_id = cast(:invoice_id AS uuid)
ORDER BY e.received_at, e.event_id
