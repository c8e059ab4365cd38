-- Grain: one row a stored customer that the file changes, with its entry in the audit log.
-- Blank optional columns keep what is stored: the first charge fills in stripe_customer_id, and a file without the others
-- takes nothing away.
WITH wanted AS (
    SELECT
        c.customer_id,
        s.name,
        s.email,
        s.currency,
        s.timezone,
        s.billing_cycle,
        s.cycle_anchor,
        coalesce(s.stripe_customer_id, c.stripe_customer_id) AS stripe_customer_id,
        coalesce(s.language, c.language) AS language,
        coalesce(s.payment_terms_days, c.payment_terms_days) AS payment_terms_days,
        coalesce(s.address_line1, c.address_line1) AS address_line1,
        coalesce(s.address_line2, c.address_line2) AS address_line2,
        coalesce(s.postal_code, c.postal_code) AS postal_code,
        coalesce(s.city, c.city) AS city,
        coalesce(s.state, c.state) AS state,
        coalesce(s.country, c.country) AS country,
        coalesce(s.tax_id, c.tax_id) AS tax_id
    FROM billing.customers AS c INNER JOIN pg_temp.staged_customers AS s USING (customer_id)
),

changed AS (
    SELECT c.customer_id, to_jsonb(c) - 'imported_at' AS state_before
    FROM billing.customers AS c INNER JOIN wanted AS w USING (customer_id)
    WHERE to_jsonb(c) - ARRAY['status', 'imported_at', 'created_at'] <> to_jsonb(w)
),

updated AS (
    UPDATE billing.customers AS c
    SET
        name = w.name,
        email = w.email,
        currency = w.currency,
        timezone = w.timezone,
        billing_cycle = w.billing_cycle,
        cycle_anchor = w.cycle_anchor,
        stripe_customer_id = w.stripe_customer_id,
        language = w.language,
        payment_terms_days = w.payment_terms_days,
        address_line1 = w.address_line1,
        address_line2 = w.address_line2,
        postal_code = w.postal_code,
        city = w.city,
        state = w.state,
        country = w.country,
        tax_id = w.tax_id,
        imported_at = clock_timestamp()
    FROM wanted AS w
    WHERE w.customer_id = c.customer_id AND c.customer_id IN (SELECT customer_id FROM changed)
    RETURNING c.customer_id, to_jsonb(c) - 'imported_at' AS state_after
)

SELECT
    customer_id,
    billing.log_action(:actor, 'customer.import', 'customer', customer_id, :reason, state_before, state_after)
FROM changed INNER JOIN updated USING (customer_id)
ORDER BY customer_id
