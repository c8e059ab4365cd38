-- Grain: one row: how many customers of the file are new. Their contracts come in with them; a customer of whom the file says
-- nothing about one is billed from its first evidence on.
WITH inserted AS (
    INSERT INTO billing.customers (
        customer_id, name, email, currency, timezone, billing_cycle, cycle_anchor, stripe_customer_id, language,
        payment_terms_days, address_line1, address_line2, postal_code, city, state, country, tax_id
    )
    SELECT
        customer_id, name, email, currency, timezone, billing_cycle, cycle_anchor, stripe_customer_id, language,
        payment_terms_days, address_line1, address_line2, postal_code, city, state, country, tax_id
    FROM pg_temp.staged_customers AS s
    WHERE NOT EXISTS (SELECT FROM billing.customers AS c WHERE c.customer_id = s.customer_id)
    RETURNING customer_id
),

terms AS (
    INSERT INTO billing.contract_terms (customer_id, effective_on, state, plan, trial_until, author, reason)
    SELECT s.customer_id, t.effective_on, t.state, t.plan, t.trial_until, :actor, :reason
    FROM pg_temp.staged_customers AS s
    INNER JOIN inserted AS i ON s.customer_id = i.customer_id
    CROSS JOIN
        LATERAL (
            SELECT s.starts_on AS effective_on, 'active' AS state, s.plan, s.trial_until
            UNION ALL
            SELECT s.ends_on + 1, 'ended', NULL, NULL WHERE s.ends_on IS NOT NULL
        ) AS t
    WHERE s.starts_on IS NOT NULL OR s.ends_on IS NOT NULL OR s.plan IS NOT NULL
)

SELECT count(*) FROM inserted
