-- Grain: one customer that had no customer at Stripe; its entry in the audit log with it.
WITH changed AS (
    UPDATE billing.customers AS c
    SET stripe_customer_id = :stripe_customer_id
    WHERE c.customer_id = :customer_id AND c.stripe_customer_id IS NULL
    RETURNING c.customer_id, c.stripe_customer_id
)

INSERT INTO billing.automation_log (actor, run_id, action, object_type, object_id, state_after)
SELECT
    'stripe-charger',
    :run_id,
    :action,
    'customer',
    changed.customer_id,
    jsonb_build_object('stripe_customer_id', changed.stripe_customer_id)
FROM changed
