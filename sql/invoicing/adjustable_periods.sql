-- Grain: one row a period of :month that is drafted or may be, and that a run will charge, with what its metered lines come
-- to. :oldest is the first month that is not too old to be charged; :customer, if it is not null, whose periods alone.
SELECT
    p.customer_id,
    p.period_id,
    p.period_start,
    p.currency,
    coalesce(v.revision + 1, 0) AS revision,
    coalesce(l.lines_minor, 0)::bigint AS lines_minor,
    coalesce(l.last_line_no, 0) AS last_line_no
FROM billing.billing_periods AS p
INNER JOIN billing.customers AS c ON p.customer_id = c.customer_id AND c.status <> 'inactive'
LEFT JOIN (
    SELECT t.period_id, sum(t.amount_minor) AS lines_minor, max(t.line_no) AS last_line_no
    FROM billing.invoice_line_items AS t
    WHERE t.billing_month = :month
        AND NOT EXISTS (SELECT FROM billing.invoices AS d WHERE d.invoice_id = t.invoice_id AND d.status = 'void')
    GROUP BY t.period_id
) AS l USING (period_id)
LEFT JOIN (
    SELECT d.period_id, max(d.revision) AS revision
    FROM billing.invoices AS d
    WHERE d.billing_month = :month AND d.status = 'void' AND d.supplement_no = 0
    GROUP BY d.period_id
) AS v USING (period_id)
LEFT JOIN billing.invoices AS n
    ON p.period_id = n.period_id AND n.supplement_no = 0 AND n.status = 'draft'
WHERE p.billing_month = :month AND (cast(:customer AS text) IS NULL OR p.customer_id = :customer)
    AND p.customer_id IN (SELECT a.customer_id FROM billing.adjustments AS a)
    AND NOT EXISTS (
        SELECT FROM billing.invoices AS i
        WHERE i.period_id = p.period_id AND i.supplement_no = 0 AND billing.is_final(i.status)
    )
    AND NOT billing.is_passed_over(p.customer_id, n.invoice_id, p.billing_month, coalesce(v.revision + 1, 0), :oldest)
    AND NOT EXISTS (SELECT FROM billing.unbilled_periods AS u WHERE u.period_id = p.period_id AND u.lifted_at IS NULL)
ORDER BY p.customer_id COLLATE "C", p.period_start
