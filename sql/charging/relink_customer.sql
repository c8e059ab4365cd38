-- Grain: one customer that is :from_stripe_customer_id at Stripe, the decision about it, and its entry in the audit log.
-- The trigger on customers looks for the decision, which is written before.
WITH relinked AS (
    INSERT INTO billing.customer_relinks (customer_id, from_stripe_customer_id, to_stripe_customer_id, author, reason)
    SELECT
        c.customer_id,
        c.stripe_customer_id,
        :to_stripe_customer_id,
        :author,
        :reason
    FROM billing.customers AS c
    WHERE c.customer_id = :customer_id AND c.stripe_customer_id = :from_stripe_customer_id
    FOR UPDATE
    RETURNING *
)

SELECT
    billing.log_action(
        author, 'customer.relink', 'customer', customer_id, reason,
        state_before => jsonb_build_object('stripe_customer_id', from_stripe_customer_id),
        state_after => jsonb_build_object('stripe_customer_id', to_stripe_customer_id)
    )
FROM relinked
