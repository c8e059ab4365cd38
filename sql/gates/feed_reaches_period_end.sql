-- Periods that end after the usage feed does, unless an operator released the month with carry-forward.
SELECT p.customer_id, p.period_end, f.complete_through
FROM billing.billing_periods AS p
INNER JOIN billing.customers AS c ON p.customer_id = c.customer_id AND c.status <> 'inactive'
CROSS JOIN (
    -- what came in after the cut-off was not counted, so it completes nothing
    SELECT max(u.complete_through) AS complete_through
    FROM billing.usage_imports AS u
    WHERE u.received_at <= coalesce((
            SELECT m.as_of FROM billing.asset_months AS m
            WHERE m.asset = 'usage_snapshots' AND m.billing_month = '{month}'
        ), 'infinity')
) AS f
WHERE p.billing_month = '{month}'
    AND (f.complete_through IS NULL OR f.complete_through < p.period_end)
    AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.period_id = p.period_id AND i.status NOT IN ('draft', 'void'))
    AND NOT EXISTS (
        SELECT FROM billing.asset_months AS m
        WHERE m.asset = 'usage_snapshots' AND m.billing_month = '{month}' AND m.carried_forward_from IS NOT NULL
    )
