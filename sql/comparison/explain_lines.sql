-- Grain: one row a line or adjustment of the invoices :ids.
SELECT
    l.invoice_id::text AS invoice_id,
    l.line_no,
    l.customer_id,
    l.meter,
    l.dimensions::text AS dimensions,
    l.kind,
    l.description,
    l.usage_quantity,
    l.included_quantity,
    l.quantity,
    l.unit_amount,
    l.exact_amount,
    l.billed_days,
    l.full_days,
    l.currency,
    l.amount_minor,
    l.price_id::text AS price_id,
    l.price_version,
    l.basis,
    l.snapshot_version,
    l.code_version,
    l.run_id,
    p.model,
    p.tier_no,
    p.tier_from,
    p.tier_up_to,
    p.package_size
FROM billing.invoice_line_items AS l
LEFT JOIN billing.prices AS p ON l.price_id = p.price_id
WHERE l.invoice_id IN (SELECT unnest(cast(:ids AS uuid[])))
UNION ALL
SELECT
    a.invoice_id::text,
    a.line_no,
    a.customer_id,
    'adjustments',
    '{}',
    'adjustment',
    a.description,
    0,
    0,
    1,
    NULL,
    NULL,
    NULL,
    NULL,
    a.currency,
    a.amount_minor,
    NULL,
    NULL,
    'adjustment',
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
FROM billing.invoice_adjustments AS a
WHERE a.invoice_id IN (SELECT unnest(cast(:ids AS uuid[])))
ORDER BY invoice_id, line_no
