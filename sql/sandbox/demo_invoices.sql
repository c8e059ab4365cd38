-- The month's invoices with their charges, for the demo's tables and checks.
SELECT
    i.invoice_id::text AS invoice_id, i.number, i.customer_id, k.name, i.currency, i.total_minor, i.line_count,
    i.status, c.state, c.reason_code, c.reason, c.stripe_invoice_id
FROM billing.invoices AS i
INNER JOIN billing.customers AS k USING (customer_id)
LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE i.billing_month = :month AND i.status <> 'void'
ORDER BY i.customer_id, i.period_id
