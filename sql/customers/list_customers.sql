-- Grain: a customer, by id. `standing` is where dunning brought it, `standing_since` null where it never stood elsewhere.
SELECT
    customer_id,
    name,
    email,
    currency,
    timezone,
    billing_cycle,
    cycle_anchor,
    stripe_customer_id,
    status,
    coalesce(s.state, 'current') AS standing,
    s.since AS standing_since,
    imported_at
FROM billing.customers
LEFT JOIN billing.customer_standings AS s USING (customer_id)
WHERE
    (cast(:status AS text) IS NULL OR status = :status)
    AND (cast(:after AS text) IS NULL OR customer_id > :after)
    AND (cast(:customer_id AS text) IS NULL OR customer_id = :customer_id)
    AND (
        cast(:search AS text) IS NULL
        OR (
            strpos(lower(customer_id::text || ' ' || name || ' ' || email), lower(:search)) > 0
            -- finds the rows by the index; fewer letters are in so many that the first hundred are found at once
            AND (
                length(cast(:search AS text)) < 3
                OR billing.search_grams(customer_id::text || ' ' || name || ' ' || email) @> billing.search_grams(:search)
            )
        )
    )
ORDER BY customer_id
LIMIT :row_limit
