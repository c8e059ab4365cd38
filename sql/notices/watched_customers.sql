-- Grain: one row a customer with a budget, or whose book includes something of what is added up: the next ones after :after.
-- Budgets and allowances are read once a statement, and not once a customer.
WITH allowances AS (
    SELECT DISTINCT
        p.currency,
        p.customer_id
    FROM billing.prices AS p
    INNER JOIN billing.meters AS m ON p.currency = m.currency AND p.meter = m.meter
    WHERE p.retired_at IS NULL AND p.included > 0 AND m.aggregation IN ('sum', 'count', 'unique')
)

SELECT c.customer_id
FROM billing.customers AS c
WHERE
    c.status <> 'inactive'
    AND (cast(:after AS text) IS NULL OR c.customer_id > :after)
    AND (
        c.customer_id IN (SELECT b.customer_id FROM billing.budgets AS b WHERE b.ended_at IS NULL)
        OR c.currency IN (SELECT a.currency FROM allowances AS a WHERE a.customer_id IS NULL)
        OR (c.currency, c.customer_id) IN (SELECT a.currency, a.customer_id FROM allowances AS a WHERE a.customer_id IS NOT NULL)
    )
ORDER BY c.customer_id
LIMIT :batch_size
