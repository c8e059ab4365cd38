-- The month's invoices that are not void, with their charges, adjustments and credit notes, for the demo's tables and checks.
SELECT
    i.invoice_id::text AS invoice_id, i.number, i.customer_id, k.name, i.currency, i.total_minor, i.due_minor, i.line_count,
    i.status, c.state, c.reason_code, c.reason, c.stripe_invoice_id,
    i.supplement_no, coalesce(cr.credited_minor, 0) AS credited_minor,
    (
        SELECT coalesce(sum(a.amount_minor), 0)::bigint FROM billing.invoice_adjustments AS a WHERE a.invoice_id = i.invoice_id
    ) AS adjusted_minor
FROM billing.invoices AS i
INNER JOIN billing.customers AS k USING (customer_id)
LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
LEFT JOIN billing.invoice_credits AS cr USING (invoice_id)
WHERE i.billing_month = :month AND i.status <> 'void'
ORDER BY i.customer_id, i.period_id
