-- Grain: one row a finalised invoice of :ids with what its customer, period, charge and seal say, in the order of the numbers.
SELECT
    i.invoice_id,
    i.number,
    i.invoice_number,
    i.customer_id,
    c.name AS customer_name,
    i.billing_month,
    i.revision,
    i.currency,
    i.total_minor,
    i.line_count,
    i.status,
    i.finalised_at,
    i.run_id,
    p.period_start,
    p.period_end,
    p.start_date,
    p.end_date,
    p.timezone,
    p.full_days,
    p.plan,
    s.request_body,
    s.request_version,
    encode(s.request_sha256, 'hex') AS request_sha256,
    array_remove(ARRAY[
        CASE WHEN k.invoice_id IS NULL THEN 'seal' END,
        CASE WHEN k.invoice_sha256 <> n.invoice_sha256 THEN 'invoice or period' END,
        CASE WHEN k.lines_sha256 <> n.lines_sha256 THEN 'lines' END,
        CASE WHEN k.prices_sha256 <> n.prices_sha256 THEN 'prices' END,
        CASE WHEN k.snapshots_sha256 <> n.snapshots_sha256 THEN 'snapshots' END,
        CASE WHEN k.events_sha256 <> n.events_sha256 THEN 'events' END,
        CASE WHEN k.intent_sha256 <> n.intent_sha256 THEN 'intent' END
    ], NULL) AS broken_seals
FROM billing.invoices AS i
LEFT JOIN billing.customers AS c ON i.customer_id = c.customer_id
LEFT JOIN billing.billing_periods AS p ON i.period_id = p.period_id
LEFT JOIN billing.stripe_charges AS s ON i.invoice_id = s.invoice_id
LEFT JOIN billing.invoice_seals AS k ON i.invoice_id = k.invoice_id
LEFT JOIN billing.contents_of(cast(:ids AS uuid[])) AS n ON i.invoice_id = n.invoice_id
WHERE i.invoice_id IN (SELECT unnest(cast(:ids AS uuid[])))
ORDER BY i.invoice_number
