-- Grain: one row a series of :month that was set aside and whose sum a price could be put on: as rating takes it, each an
-- invoice of its own, named by the quarantine's row. Of a meter that the book does not have, events are added up.
SELECT
    q.customer_id,
    q.ctid::text AS invoice_id,
    c.currency,
    coalesce(p.start_date, q.billing_month) AS start_date,
    q.meter,
    q.dimensions::text AS dimensions,
    q.quantity,
    q.event_count,
    'measured' AS basis,
    p.plan
FROM billing.usage_quarantine AS q
INNER JOIN billing.customers AS c USING (customer_id)
LEFT JOIN billing.billing_periods AS p USING (period_id)
LEFT JOIN billing.meters AS m ON m.currency = c.currency AND m.meter = q.meter
WHERE q.billing_month = :month AND q.stage IN ('usage_snapshots', 'invoice_line_items')
    AND q.quantity >= 0 AND q.quantity < 1e18 AND scale(trim_scale(q.quantity)) <= 12
    AND (q.stage = 'invoice_line_items' OR coalesce(m.aggregation, 'sum') = 'sum')
