-- Grain: one row a period of {periods} that may have terms, by its customer, its plan, or because :everybody may.
SELECT
    p.period_id,
    p.customer_id,
    to_char(p.period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_iso,
    p.currency,
    p.start_date,
    p.end_date - p.start_date AS days,
    p.full_days,
    p.plan
FROM {periods} AS p
WHERE (:everybody OR p.customer_id = any(:customers) OR p.plan = any(:plans))
    AND {which}
