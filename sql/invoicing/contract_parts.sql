-- Grain: one row a customer and stretch of time that is billed in one of :months as one period, by cycle and contract.
-- full_days: days of the whole period of the cycle, where the contract or the anchor cut it short; else null.
SELECT
    p.customer_id,
    p.billing_month,
    p.timezone,
    p.currency,
    p.period_start,
    p.period_end,
    p.start_date,
    p.end_date,
    p.plan,
    nullif(p.full_days, p.end_date - p.start_date) AS full_days,
    p.in_trial,
    p.contract_starts_on,
    p.contract_ends_on
FROM (
    SELECT
        c.customer_id,
        c.timezone,
        c.currency,
        n.period_start,
        n.period_end,
        greatest(k.start_date, s.starts_on) AS start_date,
        least(k.end_date, s.ends_on + 1) AS end_date,
        cast(date_trunc('month', (n.period_end - interval '1 microsecond') AT TIME ZONE c.timezone) AS date) AS billing_month,
        s.plan,
        k.full_days,
        s.in_trial,
        s.contract_starts_on,
        s.contract_ends_on
    FROM billing.customers AS c
    INNER JOIN pg_temp.contracts_now AS s ON c.customer_id = s.customer_id
    INNER JOIN pg_temp.calendar AS k
        ON c.timezone = k.timezone AND c.billing_cycle = k.billing_cycle
            AND c.cycle_anchor IS NOT DISTINCT FROM k.cycle_anchor
            AND k.end_date > s.starts_on AND (s.ends_on IS NULL OR k.start_date <= s.ends_on)
    LEFT JOIN pg_temp.contract_days AS f ON c.timezone = f.timezone AND f.day = s.starts_on AND s.starts_on > k.start_date
    LEFT JOIN pg_temp.contract_days AS u ON c.timezone = u.timezone AND u.day = s.ends_on + 1 AND s.ends_on + 1 < k.end_date
    CROSS JOIN
        LATERAL (
            SELECT coalesce(f.instant, k.period_start) AS period_start, coalesce(u.instant, k.period_end) AS period_end
        ) AS n
    WHERE n.period_start < n.period_end
) AS p
WHERE p.billing_month = any(:months)
