-- Grain: one row a stored customer whose contract is another one than the file says; what the file leaves blank stays.
-- The contract compared is the customer's last one.
SELECT
    s.customer_id,
    CASE WHEN k.inferred THEN s.starts_on ELSE nullif(s.starts_on, k.starts_on) END AS starts_on,
    nullif(s.ends_on, k.ends_on) AS ends_on,
    nullif(s.plan, k.plan) AS plan,
    nullif(s.trial_until, k.trial_until) AS trial_until,
    cast(clock_timestamp() AT TIME ZONE s.timezone AS date) AS today,
    k.starts_on AS runs_from,
    k.ends_on AS runs_to
FROM pg_temp.staged_customers AS s
INNER JOIN billing.customers AS c ON s.customer_id = c.customer_id
LEFT JOIN LATERAL (
    SELECT
        b.contract_starts_on AS starts_on,
        b.contract_ends_on AS ends_on,
        b.plan,
        b.trial_until,
        b.start_inferred AND b.starts_on = b.contract_starts_on AS inferred
    FROM billing.contracts AS b
    WHERE b.customer_id = s.customer_id
    ORDER BY b.starts_on DESC
    LIMIT 1
) AS k ON TRUE
WHERE (s.starts_on IS NOT NULL AND (s.starts_on IS DISTINCT FROM k.starts_on OR k.inferred))
    OR (s.ends_on IS NOT NULL AND s.ends_on IS DISTINCT FROM k.ends_on)
    OR (s.plan IS NOT NULL AND s.plan IS DISTINCT FROM k.plan)
    OR (s.trial_until IS NOT NULL AND s.trial_until IS DISTINCT FROM k.trial_until)
ORDER BY s.customer_id
