-- Grain: a refund of the invoice :invoice_id at Stripe, as it last showed it.
SELECT
    refund_id,
    payment_intent_id,
    status,
    amount_minor,
    currency,
    reason,
    created_at
FROM billing.stripe_refunds
WHERE invoice_id = cast(:invoice_id AS uuid)
ORDER BY created_at, refund_id
