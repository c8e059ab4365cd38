-- Grain: one row a follow-up that is due at :now and was not offered since :offered_before; it is now.
UPDATE billing.charge_follow_ups AS f
SET offers = f.offers + 1, offered_at = :now
FROM billing.stripe_charges AS c
WHERE
    f.invoice_id = c.invoice_id
    AND f.due_at <= :now
    AND (f.offered_at IS NULL OR f.offered_at <= :offered_before)
    AND NOT c.billing_month = any(:busy_months)
RETURNING f.invoice_id::text AS invoice_id, f.kind, f.step, f.due_at, f.offers
