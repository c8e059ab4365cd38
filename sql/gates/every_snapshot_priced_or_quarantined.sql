-- Snapshots whose quantity is not covered exactly by lines (billed or allowance) or by quarantine, and lines without a
-- snapshot. Lines of void invoices are not asked: their period is billed again, or it is left unbilled on purpose.
SELECT customer_id, meter, dimensions, sum(measured) AS measured, sum(covered) AS covered
FROM (
    SELECT period_id, customer_id, meter, dimensions, quantity AS measured, 0 AS covered, 1 AS snapshots, 0 AS answers
    FROM billing.usage_snapshots
    WHERE billing_month = '{month}'
        AND period_id NOT IN (SELECT u.period_id FROM billing.unbilled_periods AS u WHERE u.lifted_at IS NULL)
    UNION ALL
    SELECT period_id, customer_id, meter, dimensions, 0, sum(usage_quantity), 0, 1
    FROM {batch}
    WHERE kind = 'usage'
        AND invoice_id NOT IN (
            SELECT v.invoice_id FROM billing.invoices AS v WHERE v.billing_month = '{month}' AND v.status = 'void'
        )
    GROUP BY period_id, customer_id, meter, dimensions
    UNION ALL
    SELECT period_id, customer_id, meter, dimensions, 0, quantity, 0, 1
    FROM billing.usage_quarantine
    WHERE billing_month = '{month}' AND stage = 'invoice_line_items'
) AS sides
GROUP BY period_id, customer_id, meter, dimensions
HAVING sum(measured) <> sum(covered) OR sum(snapshots) <> 1 OR sum(answers) <> 1
