-- Grain: one row a refused charge whose next attempt has begun: not due, but its retries stay counted.
UPDATE billing.charge_follow_ups AS f
SET due_at = NULL, cause = 'the retry is under way'
FROM billing.stripe_charges AS c
WHERE
    f.invoice_id = c.invoice_id
    AND f.kind = 'pay'
    AND f.due_at IS NOT NULL
    AND c.state IN ('intended', 'drafted', 'lines_added', 'finalized')
