-- Currencies whose revenue is less than half or more than twice last month's.
SELECT currency, n.total_minor, l.total_minor AS last_month_minor
FROM (
    SELECT currency, sum(amount_minor) AS total_minor
    FROM {batch}
    WHERE invoice_id NOT IN (
            SELECT v.invoice_id FROM billing.invoices AS v WHERE v.billing_month = '{month}' AND v.status = 'void'
        )
    GROUP BY currency
) AS n
INNER JOIN (
    SELECT i.currency, sum(i.total_minor) AS total_minor
    FROM billing.invoices AS i
    WHERE i.billing_month = '{last_month}' AND i.status <> 'void'
    GROUP BY i.currency
) AS l USING (currency)
WHERE n.total_minor NOT BETWEEN l.total_minor / 2 AND l.total_minor * 2
