-- Grain: a commitment or discount of the book that holds today for :customer_id; of one kind and name the customer's own
-- instead of the plan's, and the plan's instead of everybody's.
WITH version AS (
    SELECT version_id
    FROM billing.prices
    WHERE currency = :currency AND retired_at IS NULL AND effective_from <= current_date
    ORDER BY effective_from DESC
    LIMIT 1
),

signed AS (
    SELECT c.plan
    FROM billing.contracts AS c
    INNER JOIN billing.customers AS cu USING (customer_id)
    WHERE
        c.customer_id = :customer_id
        AND c.starts_on <= (clock_timestamp() AT TIME ZONE cu.timezone)::date
        AND coalesce(c.ends_on, 'infinity') >= (clock_timestamp() AT TIME ZONE cu.timezone)::date
),

meant AS (
    SELECT
        t.*,
        rank() OVER (
            PARTITION BY t.kind, t.name
            ORDER BY t.customer_id IS NULL, t.plan IS NULL
        ) AS nearness
    FROM billing.terms AS t
    INNER JOIN version USING (version_id)
    WHERE
        t.currency = :currency AND t.retired_at IS NULL
        AND (t.customer_id = :customer_id OR t.customer_id IS NULL)
        AND (t.plan IS NULL OR t.plan IN (SELECT s.plan FROM signed AS s))
        AND coalesce(t.until_on, 'infinity') >= current_date
)

SELECT
    kind,
    coalesce(description, name) AS text,
    trim_scale(amount) AS amount,
    trim_scale(percent) AS percent,
    until_on
FROM meant
WHERE nearness = 1
ORDER BY kind, position
