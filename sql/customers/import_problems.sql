-- Grain: one row a problem of the staged customers among themselves or with those that are stored, the first :shown of them.
WITH staged AS (
    SELECT
        *,
        min(line) OVER (PARTITION BY customer_id) AS customer_line,
        first_value(line) OVER (PARTITION BY stripe_customer_id ORDER BY line) AS stripe_line,
        first_value(customer_id) OVER (PARTITION BY stripe_customer_id ORDER BY line) AS stripe_owner
    FROM pg_temp.staged_customers
),

problems AS (
    SELECT
        line, 'cycle_anchor' AS field, '' AS value,
        cast(:date_format AS text) || ', from which ' || billing_cycle || ' are counted' AS expected
    FROM staged WHERE billing_cycle <> 'calendar_month' AND cycle_anchor IS NULL
    UNION ALL
    SELECT line, 'ends_on', ends_on::text, 'the last day of the contract, ' || starts_on || ' or later'
    FROM staged WHERE ends_on < starts_on
    UNION ALL
    SELECT line, 'trial_until', trial_until::text, 'the last day of the trial, ' || starts_on || ' or later'
    FROM staged WHERE trial_until < starts_on
    UNION ALL
    SELECT line, 'trial_until', trial_until::text, 'a trial beside a starts_on, or blank'
    FROM staged AS s
    WHERE trial_until IS NOT NULL AND starts_on IS NULL
        AND NOT EXISTS (SELECT FROM billing.customers AS c WHERE c.customer_id = s.customer_id)
    UNION ALL
    SELECT line, 'customer_id', customer_id, 'each customer once, found it in line ' || customer_line
    FROM staged WHERE customer_line < line
    UNION ALL
    SELECT line, 'stripe_customer_id', stripe_customer_id, 'each Stripe customer once, found it in line ' || stripe_line
    FROM staged WHERE stripe_customer_id IS NOT NULL AND stripe_owner <> customer_id
    UNION ALL
    SELECT
        s.line, 'stripe_customer_id', s.stripe_customer_id,
        'a blank or ' || c.stripe_customer_id || ', which customer ' || s.customer_id || ' already has'
    FROM staged AS s INNER JOIN billing.customers AS c USING (customer_id)
    WHERE c.stripe_customer_id <> s.stripe_customer_id
    UNION ALL
    SELECT
        s.line, 'stripe_customer_id', s.stripe_customer_id,
        'a Stripe customer of nobody else, it belongs to customer ' || c.customer_id
    FROM staged AS s INNER JOIN billing.customers AS c USING (stripe_customer_id)
    WHERE c.customer_id <> s.customer_id
)

SELECT line, field, value, expected, count(*) OVER () AS total FROM problems ORDER BY line, field LIMIT :shown
