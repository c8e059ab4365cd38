-- Grain: a dispute of a payment of the invoice :invoice_id, as Stripe last showed it, and what was decided about it.
SELECT
    dispute_id,
    status,
    amount_minor,
    taken_back_minor,
    currency,
    bank_reason,
    decision,
    author,
    reason,
    created_at
FROM billing.disputes
WHERE invoice_id = cast(:invoice_id AS uuid)
ORDER BY created_at, dispute_id
