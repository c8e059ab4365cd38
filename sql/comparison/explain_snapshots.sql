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
    CASE
        WHEN s.aggregation LIKE '% of deltas' THEN billing.delta_level(
                billing.series_id(s.customer_id, s.meter, s.dimensions), s.period_start, s.as_of
            )
    END AS opening_level,
    s.period_start,
    s.period_end,
    i.currency,
    p.start_date,
    CASE WHEN s.aggregation = 'constant' AND p.full_days IS NOT NULL THEN p.end_date - p.start_date END AS days,
    CASE WHEN s.aggregation = 'constant' THEN p.full_days END AS full_days,
    p.plan,
    p.in_trial AND s.aggregation = 'constant' AS in_trial,
    -- what was final by the cut-off cannot have changed since: then the quantity carried forward is still there
    s.basis = 'carried_forward' AND q.period_id IS NOT NULL AS source_final,
    b.quantity AS source_quantity
FROM billing.billed_snapshots(cast(:ids AS uuid[])) AS s
INNER JOIN billing.invoices AS i ON s.invoice_id = i.invoice_id
INNER JOIN billing.billing_periods AS p ON s.period_id = p.period_id
LEFT JOIN billing.billing_periods AS q
    ON s.basis = 'carried_forward' AND p.customer_id = q.customer_id AND p.previous_end = q.period_end AND EXISTS (
            SELECT FROM billing.invoices AS f
            WHERE f.period_id = q.period_id AND f.supplement_no = 0 AND billing.is_final(f.status)
                AND f.finalised_at <= s.as_of
        )
LEFT JOIN billing.usage_snapshots AS b
    ON q.period_id = b.period_id AND s.meter = b.meter AND s.dimensions = b.dimensions AND i.currency = b.currency
ORDER BY s.invoice_id, s.meter COLLATE "C", s.dimensions
