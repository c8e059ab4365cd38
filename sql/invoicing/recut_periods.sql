-- Grain: one row a period of :month with a finalised invoice of which no stretch of a contract holds all days on its plan, in
-- its trial or not.
SELECT
    p.period_id,
    p.customer_id,
    p.currency,
    p.period_start,
    p.period_end,
    p.start_date,
    p.end_date,
    p.timezone,
    coalesce(p.full_days, p.end_date - p.start_date) AS full_days
FROM billing.billing_periods AS p
INNER JOIN billing.invoices AS i ON p.period_id = i.period_id
WHERE i.billing_month = :month AND i.supplement_no = 0 AND billing.is_final(i.status)
    AND NOT EXISTS (
        SELECT FROM pg_temp.contracts_now AS k
        WHERE k.customer_id = p.customer_id AND k.plan IS NOT DISTINCT FROM p.plan AND k.in_trial = p.in_trial
            AND k.starts_on <= p.start_date AND (k.ends_on IS NULL OR k.ends_on >= p.end_date - 1)
    )
