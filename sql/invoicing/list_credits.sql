-- Grain: one row a grant, a customer's in the order in which they are drawn.
SELECT
    g.grant_id::text AS grant_id,
    g.customer_id,
    g.kind,
    g.amount_minor,
    g.balance_minor,
    g.currency,
    g.priority,
    g.expires_on,
    g.expires_on < (clock_timestamp() AT TIME ZONE c.timezone)::date AS expired,
    g.description,
    g.author,
    g.reason,
    g.granted_at
FROM billing.credit_grants AS g
INNER JOIN billing.customers AS c USING (customer_id)
WHERE (cast(:customer_id AS text) IS NULL OR g.customer_id = :customer_id)
    AND (:every OR g.balance_minor > 0)
    AND (
        cast(:after AS text) IS NULL
        OR (
            g.customer_id COLLATE "C", g.currency, g.priority, coalesce(g.expires_on, 'infinity'), g.granted_at, g.grant_id
        ) > (
            SELECT a.customer_id, a.currency, a.priority, coalesce(a.expires_on, 'infinity'), a.granted_at, a.grant_id
            FROM billing.credit_grants AS a
            WHERE a.grant_id::text = :after
        )
    )
ORDER BY g.customer_id COLLATE "C", g.currency, g.priority, g.expires_on NULLS LAST, g.granted_at, g.grant_id
LIMIT :row_limit
