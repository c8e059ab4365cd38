-- Grain: one row a customer, currency, meter, dimensions and kind of :month, over all lines whose invoice is not void.
SELECT
    l.customer_id,
    l.currency,
    l.meter,
    l.dimensions::text AS dimensions,
    l.kind,
    min(l.description) AS description,
    sum(l.usage_quantity) AS quantity,
    sum(l.amount_minor)::bigint AS amount_minor,
    array_agg(DISTINCT l.price_id::text) FILTER (WHERE l.price_id IS NOT NULL) AS price_ids
FROM billing.invoice_line_items AS l
LEFT JOIN billing.invoices AS i ON l.invoice_id = i.invoice_id
WHERE l.billing_month = :month AND i.status IS DISTINCT FROM 'void'
GROUP BY l.customer_id, l.currency, l.meter, l.dimensions, l.kind
