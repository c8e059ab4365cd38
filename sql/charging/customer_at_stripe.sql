-- Grain: one customer that had no customer at Stripe; its entry in the audit log with it.
WITH changed AS (
    UPDATE billing.customers AS c
    SET stripe_customer_id = :stripe_customer_id
    WHERE c.customer_id = :customer_id AND c.stripe_customer_id IS NULL
    RETURNING c.customer_id, c.stripe_customer_id
)

SELECT
    billing.log_action(
        'stripe-charger', :action, 'customer', customer_id,
        state_after => jsonb_build_object('stripe_customer_id', stripe_customer_id),
        run_id => :run_id
    )
FROM changed
