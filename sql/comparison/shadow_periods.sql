-- Grain: one row a period that :month bills or billed: those laid out, and those that pg_temp.laid would lay out.
SELECT
    p.period_id,
    p.customer_id,
    p.currency,
    p.period_start,
    p.period_end,
    p.previous_end,
    p.start_date,
    p.end_date,
    p.full_days,
    p.plan,
    p.in_trial,
    (:carry_forward AND f.period_id IS NULL) OR EXISTS (
        SELECT FROM billing.usage_snapshots AS s WHERE s.period_id = p.period_id AND s.basis = 'carried_forward'
    ) AS may_carry
FROM billing.billing_periods AS p
INNER JOIN billing.customers AS c ON p.customer_id = c.customer_id
LEFT JOIN (
    SELECT DISTINCT i.period_id FROM billing.invoices AS i WHERE i.billing_month = :month AND i.status <> 'draft'
) AS f ON p.period_id = f.period_id
WHERE p.billing_month = :month AND (c.status <> 'inactive' OR f.period_id IS NOT NULL)
    AND NOT EXISTS (SELECT FROM billing.unbilled_periods AS u WHERE u.period_id = p.period_id AND u.lifted_at IS NULL)
UNION ALL
SELECT
    md5(l.customer_id || chr(31) || extract(EPOCH FROM l.period_start AT TIME ZONE 'UTC')::text)::uuid,
    l.customer_id,
    l.currency,
    l.period_start,
    l.period_end,
    l.previous_end,
    l.start_date,
    l.end_date,
    l.full_days,
    l.plan,
    l.in_trial,
    :carry_forward
FROM pg_temp.laid AS l
INNER JOIN billing.customers AS c ON l.customer_id = c.customer_id
WHERE c.status <> 'inactive'
