-- Grain: a payment of the invoice :invoice_id at Stripe, as it last showed it.
SELECT
    payment_id,
    payment_intent_id,
    status,
    requested_minor,
    paid_minor,
    currency,
    created_at,
    paid_at
FROM billing.stripe_payments
WHERE invoice_id = cast(:invoice_id AS uuid)
ORDER BY created_at, payment_id
