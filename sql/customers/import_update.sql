-- Grain: one row a stored customer that the file changes, with its entry in the audit log.
-- A blank stripe_customer_id keeps what is stored: the first charge fills it in, and no file may undo that.
WITH changed AS (
    SELECT c.customer_id, to_jsonb(c) - 'imported_at' AS state_before
    FROM billing.customers AS c INNER JOIN pg_temp.staged_customers AS s USING (customer_id)
    WHERE (c.name, c.email, c.currency, c.timezone, c.billing_cycle, c.cycle_anchor, c.stripe_customer_id)
        IS DISTINCT FROM (
            s.name, s.email, s.currency, s.timezone, s.billing_cycle, s.cycle_anchor,
            coalesce(s.stripe_customer_id, c.stripe_customer_id)
        )
),

updated AS (
    UPDATE billing.customers AS c
    SET
        name = s.name,
        email = s.email,
        currency = s.currency,
        timezone = s.timezone,
        billing_cycle = s.billing_cycle,
        cycle_anchor = s.cycle_anchor,
        stripe_customer_id = coalesce(s.stripe_customer_id, c.stripe_customer_id),
        imported_at = clock_timestamp()
    FROM pg_temp.staged_customers AS s
    WHERE s.customer_id = c.customer_id AND c.customer_id IN (SELECT customer_id FROM changed)
    RETURNING c.customer_id, to_jsonb(c) - 'imported_at' AS state_after
)

SELECT billing.log_action(:actor, 'customer.import', 'customer', customer_id, :reason, state_before, state_after)
FROM changed INNER JOIN updated USING (customer_id)
ORDER BY customer_id
