-- Grain: one draft a period of :month that has lines and no invoice yet; total and count are those of its lines.
INSERT INTO billing.invoices (invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, run_id)
SELECT
    l.invoice_id,
    l.customer_id,
    l.period_id,
    l.billing_month,
    l.currency,
    sum(l.amount_minor),
    count(*),
    :run_id
FROM billing.invoice_line_items AS l
WHERE l.billing_month = :month
    AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = l.invoice_id)
GROUP BY l.invoice_id, l.customer_id, l.period_id, l.billing_month, l.currency
