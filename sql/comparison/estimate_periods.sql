-- Grain: one row a period of :customers without a final invoice: those laid out, and those that pg_temp.laid would lay out.
-- Without :month it is the one that :now lies in, with it those that :month bills and that have begun. Not wanted, but asked
-- first what they take of the adjustments that wait: the earlier ones of :adjusted customers.
SELECT
    w.wanted,
    p.period_id::text AS period_id,
    p.customer_id,
    p.currency,
    p.billing_month,
    p.timezone,
    p.period_start,
    p.period_end,
    p.previous_end,
    p.start_date,
    p.end_date,
    p.full_days,
    p.plan,
    p.in_trial,
    exists(
        SELECT FROM billing.usage_snapshots AS s WHERE s.period_id = p.period_id AND s.basis = 'carried_forward'
    ) AS may_carry,
    d.invoice_id IS NOT NULL AS drafted,
    p.customer_id = any(:adjusted) AS adjusted,
    NOT billing.is_passed_over(
        p.customer_id,
        d.invoice_id,
        p.billing_month,
        coalesce((
            SELECT max(v.revision) + 1 FROM billing.invoices AS v
            WHERE v.period_id = p.period_id AND v.supplement_no = 0 AND v.status = 'void'
        ), 0),
        '-infinity'
    ) AS takes_adjustments,
    (
        SELECT min(s.first_occurred_at) FROM billing.usage_series AS s WHERE s.customer_id = p.customer_id
    ) AS first_usage_at
FROM (
    SELECT
        b.period_id, b.customer_id, b.currency, b.billing_month, b.timezone, b.period_start, b.period_end, b.previous_end,
        b.start_date, b.end_date, b.full_days, b.plan, b.in_trial
    FROM billing.billing_periods AS b
    WHERE b.customer_id = any(:customers)
    UNION ALL
    SELECT
        md5(l.customer_id || chr(31) || extract(EPOCH FROM l.period_start AT TIME ZONE 'UTC')::text)::uuid,
        l.customer_id, l.currency, l.billing_month, l.timezone, l.period_start, l.period_end, l.previous_end,
        l.start_date, l.end_date, l.full_days, l.plan, l.in_trial
    FROM pg_temp.laid AS l
) AS p
INNER JOIN billing.customers AS c ON p.customer_id = c.customer_id AND c.status <> 'inactive'
LEFT JOIN billing.invoices AS d ON p.period_id = d.period_id AND d.supplement_no = 0 AND d.status = 'draft'
CROSS JOIN
    LATERAL (
        SELECT CASE WHEN cast(:month AS date) IS NULL THEN p.period_end > :now ELSE p.billing_month = :month END AS wanted
    ) AS w
WHERE p.period_start <= :now
    AND (w.wanted OR (p.customer_id = any(:adjusted) AND p.billing_month < coalesce(:month, 'infinity')))
    AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.period_id = p.period_id AND billing.is_final(i.status))
    AND NOT EXISTS (SELECT FROM billing.unbilled_periods AS u WHERE u.period_id = p.period_id AND u.lifted_at IS NULL)
ORDER BY p.customer_id COLLATE "C", p.period_start
