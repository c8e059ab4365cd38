-- Grain: one row a snapshot that the invoices :ids were billed from, with the currency and first day that priced it.
SELECT
    s.invoice_id::text AS invoice_id,
    s.customer_id,
    s.meter,
    s.dimensions::text AS dimensions,
    s.snapshot_version,
    s.quantity,
    s.event_count,
    s.as_of,
    s.basis,
    s.aggregation,
    s.run_id,
    s.period_start,
    s.period_end,
    i.currency,
    p.start_date
FROM billing.billed_snapshots(cast(:ids AS uuid[])) AS s
INNER JOIN billing.invoices AS i ON s.invoice_id = i.invoice_id
INNER JOIN billing.billing_periods AS p ON s.period_id = p.period_id
ORDER BY s.invoice_id, s.meter COLLATE "C", s.dimensions
