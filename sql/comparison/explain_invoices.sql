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
    i.credits_minor,
    i.due_minor,
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
    k.parts AS broken_seals
FROM billing.invoices AS i
LEFT JOIN billing.customers AS c ON i.customer_id = c.customer_id
LEFT JOIN billing.billing_periods AS p ON i.period_id = p.period_id
LEFT JOIN billing.stripe_charges AS s ON i.invoice_id = s.invoice_id
LEFT JOIN billing.broken_seals(cast(:ids AS uuid[])) AS k ON i.invoice_id = k.invoice_id
WHERE i.invoice_id IN (SELECT unnest(cast(:ids AS uuid[])))
ORDER BY i.invoice_number
