-- Grain: one row a snapshot of the newest version, for the periods of :month whose finalised invoice is not void, a
-- customer's rows together.
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
FROM billing.current_snapshots AS s
INNER JOIN billing.billing_periods AS p USING (period_id, billing_month)
INNER JOIN billing.invoices AS i USING (period_id, billing_month)
WHERE s.billing_month = :month AND i.supplement_no = 0 AND billing.is_final(i.status)
ORDER BY s.customer_id COLLATE "C", p.period_start
