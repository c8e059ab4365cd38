-- Grain: one row a refused charge of :customer_id, due at :due_at; its retries are counted anew.
INSERT INTO billing.charge_follow_ups (invoice_id, kind, attempt, step, due_at, cause)
SELECT
    c.invoice_id,
    'pay',
    c.attempt,
    0,
    :due_at,
    :cause
FROM billing.stripe_charges AS c
WHERE c.customer_id = :customer_id AND c.state = 'refused'
ON CONFLICT (invoice_id, kind) DO UPDATE
    SET attempt = excluded.attempt, step = excluded.step, due_at = excluded.due_at, cause = excluded.cause, offered_at = NULL
