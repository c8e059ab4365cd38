-- Grain: one row a part of a period of pg_temp.recut that lies within one stretch of a contract, as measuring reads it.
SELECT
    md5(n.customer_id || chr(31) || 'part' || extract(EPOCH FROM n.period_start AT TIME ZONE 'UTC')::text)::uuid AS period_id,
    n.period_id AS billed_period_id,
    n.customer_id,
    n.currency,
    n.period_start,
    n.period_end,
    NULL::timestamptz AS previous_end,
    n.start_date,
    n.end_date,
    CASE WHEN n.full_days > n.end_date - n.start_date THEN n.full_days END AS full_days,
    n.plan,
    n.in_trial,
    FALSE AS may_carry
FROM (
    SELECT
        r.period_id,
        r.customer_id,
        r.currency,
        r.full_days,
        k.plan,
        k.in_trial,
        coalesce(f.instant, r.period_start) AS period_start,
        coalesce(u.instant, r.period_end) AS period_end,
        greatest(r.start_date, k.starts_on) AS start_date,
        least(r.end_date, k.ends_on + 1) AS end_date
    FROM pg_temp.recut AS r
    INNER JOIN pg_temp.contracts_now AS k
        ON r.customer_id = k.customer_id AND r.end_date > k.starts_on AND (k.ends_on IS NULL OR r.start_date <= k.ends_on)
    LEFT JOIN pg_temp.contract_days AS f ON r.timezone = f.timezone AND f.day = k.starts_on AND k.starts_on > r.start_date
    LEFT JOIN pg_temp.contract_days AS u ON r.timezone = u.timezone AND u.day = k.ends_on + 1 AND k.ends_on + 1 < r.end_date
) AS n
WHERE n.period_start < n.period_end
