-- Grain: one row a month that a charging run came to too early and that it may come to now.
SELECT
    r.billing_month,
    r.billing_month || '/' || max(i.drafted_at) AS key
FROM billing.charge_requests AS r
INNER JOIN billing.invoices AS i ON r.billing_month = i.billing_month AND i.status = 'draft'
WHERE NOT EXISTS (SELECT FROM billing.waiting_drafts(r.billing_month, 'schedule'))
GROUP BY r.billing_month
ORDER BY r.billing_month
