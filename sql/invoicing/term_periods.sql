-- Grain: one row a period of {periods} that may have terms, by its customer, its plan, or because :everybody may;
-- used: the granted terms that its invoice uses.
SELECT
    p.period_id,
    p.customer_id,
    to_char(p.period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_iso,
    p.currency,
    p.start_date,
    p.end_date - p.start_date AS days,
    p.full_days,
    p.plan,
    p.in_trial,
    (
        SELECT array_agg(u.term_id::text)
        FROM billing.discount_uses AS u
        INNER JOIN billing.invoices AS n ON u.invoice_id = n.invoice_id
        WHERE n.period_id = p.period_id AND n.status <> 'void'
    ) AS used
FROM {periods} AS p
WHERE (:everybody OR p.customer_id = any(:customers) OR p.plan = any(:plans))
    AND {which}
