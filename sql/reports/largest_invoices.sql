SELECT i.customer_id, c.name, i.currency, i.total_minor, i.line_count, i.status
FROM billing.invoices AS i
INNER JOIN billing.customers AS c USING (customer_id)
WHERE i.billing_month = :month AND i.status <> 'void'
ORDER BY i.total_minor DESC, i.customer_id
LIMIT 10
