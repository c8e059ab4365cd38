-- Grain: one row a budget that holds now, of :customer_id (null: of all), after the one with the id :after.
SELECT
    b.budget_id,
    b.customer_id,
    b.meter,
    m.unit,
    b.limit_minor,
    b.currency,
    trim_scale(b.limit_quantity) AS limit_quantity,
    b.thresholds_percent,
    b.author,
    b.reason,
    b.changed_at
FROM billing.budgets AS b
INNER JOIN billing.customers AS c USING (customer_id)
LEFT JOIN billing.meters AS m ON c.currency = m.currency AND b.meter = m.meter
WHERE
    b.ended_at IS NULL
    AND (cast(:customer_id AS text) IS NULL OR b.customer_id = :customer_id)
    AND (cast(:after AS bigint) IS NULL OR b.budget_id > :after)
ORDER BY b.budget_id
LIMIT :row_limit
