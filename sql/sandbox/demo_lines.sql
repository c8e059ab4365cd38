-- The lines of the month's invoices that are not void.
SELECT
    l.invoice_id::text AS invoice_id, l.customer_id, l.line_no, l.meter, l.description,
    trim_scale(l.usage_quantity) AS used, trim_scale(l.included_quantity) AS included,
    trim_scale(l.quantity) AS quantity, trim_scale(l.unit_amount) AS unit_amount,
    l.amount_minor, l.currency, l.price_version, l.kind, l.billed_days, l.full_days
FROM billing.invoice_line_items AS l
WHERE l.billing_month = :month
    AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = l.invoice_id AND i.status = 'void')
ORDER BY l.customer_id, l.invoice_id, l.line_no
