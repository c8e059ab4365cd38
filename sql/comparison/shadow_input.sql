-- Grain: one row a snapshot of the shadow month, a customer's rows together.
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
FROM pg_temp.measured AS s
INNER JOIN pg_temp.measured_periods AS p ON s.period_id = p.period_id
ORDER BY s.customer_id COLLATE "C", p.period_start
