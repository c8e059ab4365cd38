-- Grain: one row a month that has ended not long before :now, and whose invoices are others than when they were compared with
-- the months before; one that changes all the time is looked at once an hour.
SELECT
    m.billing_month,
    m.version
FROM billing.asset_months AS m
WHERE
    m.asset = 'invoices'
    -- a month is drafted for a look while it runs, and has not all its usage then
    AND (m.billing_month + interval '1 month 12 hours') AT TIME ZONE 'UTC' <= :now
    AND (m.billing_month + interval '2 months') AT TIME ZONE 'UTC' > :now
    AND NOT EXISTS (
        SELECT FROM billing.revenue_looks AS l
        WHERE
            l.billing_month = m.billing_month
            AND (l.version = m.version OR l.looked_at > cast(:now AS timestamptz) - interval '1 hour')
    )
    AND EXISTS (SELECT FROM billing.invoices AS i WHERE i.billing_month = m.billing_month AND i.status <> 'void')
