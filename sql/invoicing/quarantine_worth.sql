-- Grain: one row a series of :month that was set aside and whose sum a price could be put on: as rating takes it, each an
-- invoice of its own, named by the quarantine's row; of :customer alone, if it is not null. Of a meter that the book does not
-- have, events are added up.
SELECT
    q.customer_id,
    q.ctid::text AS invoice_id,
    c.currency,
    coalesce(p.start_date, q.billing_month) AS start_date,
    q.meter,
    q.dimensions::text AS dimensions,
    n.quantity,
    q.event_count,
    'measured' AS basis,
    p.plan
FROM billing.usage_quarantine AS q
INNER JOIN billing.customers AS c USING (customer_id)
LEFT JOIN billing.billing_periods AS p USING (period_id)
LEFT JOIN billing.meters AS m ON m.currency = c.currency AND m.meter = q.meter
CROSS JOIN
    LATERAL (
        SELECT
            CASE WHEN q.stage = 'usage_snapshots' AND m.aggregation = 'count' THEN q.event_count ELSE q.quantity END AS quantity
    ) AS n
WHERE q.billing_month = :month AND (cast(:customer AS text) IS NULL OR q.customer_id = :customer)
    AND q.stage IN ('usage_snapshots', 'invoice_line_items')
    AND n.quantity >= 0 AND n.quantity < 1e18 AND scale(trim_scale(n.quantity)) <= 12
    AND (q.stage = 'invoice_line_items' OR coalesce(m.aggregation, 'sum') IN ('sum', 'count'))
