-- Grain: one row a customer with a budget, or whose book includes something of what is added up: the next ones after :after.
SELECT c.customer_id
FROM billing.customers AS c
WHERE
    c.status <> 'inactive'
    AND (cast(:after AS text) IS NULL OR c.customer_id > :after)
    AND (
        EXISTS (SELECT FROM billing.budgets AS b WHERE b.customer_id = c.customer_id AND b.ended_at IS NULL)
        OR EXISTS (
            SELECT FROM billing.prices AS p
            INNER JOIN billing.meters AS m ON p.currency = m.currency AND p.meter = m.meter
            WHERE
                p.currency = c.currency AND p.retired_at IS NULL AND p.included > 0
                AND (p.customer_id IS NULL OR p.customer_id = c.customer_id)
                AND m.aggregation IN ('sum', 'count', 'unique')
        )
    )
ORDER BY c.customer_id
LIMIT :batch_size
