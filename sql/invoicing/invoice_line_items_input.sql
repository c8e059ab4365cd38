-- Grain: one row a usage snapshot of :month whose period has no finalised invoice and is to have one, a customer's rows
-- together; of :customer alone, if it is not null.
SELECT
    s.customer_id,
    to_char(p.period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_iso,
    s.period_id,
    s.currency,
    p.start_date,
    s.meter,
    s.dimensions,
    s.quantity,
    s.event_count,
    s.basis,
    CASE WHEN s.aggregation = 'constant' AND p.full_days IS NOT NULL THEN p.end_date - p.start_date END AS days,
    CASE WHEN s.aggregation = 'constant' THEN p.full_days END AS full_days,
    p.plan,
    p.in_trial AND s.aggregation = 'constant' AS in_trial
FROM billing.usage_snapshots AS s
INNER JOIN billing.billing_periods AS p USING (period_id, billing_month)
WHERE s.billing_month = :month
    AND (cast(:customer AS text) IS NULL OR s.customer_id = :customer)
    AND NOT EXISTS (
        SELECT FROM billing.invoices AS i
        WHERE i.period_id = s.period_id AND i.billing_month = s.billing_month AND billing.is_final(i.status)
    )
    AND NOT EXISTS (SELECT FROM billing.unbilled_periods AS u WHERE u.period_id = s.period_id AND u.lifted_at IS NULL)
ORDER BY s.customer_id COLLATE "C", p.period_start
