-- Grain: an invoice, drafts too; the newest month first.
SELECT
    i.number,
    i.invoice_id::text AS invoice_id,
    i.customer_id,
    cu.name AS customer_name,
    i.billing_month,
    p.start_date AS period_from,
    p.end_date - 1 AS period_to,
    p.timezone,
    i.revision,
    i.supersedes_invoice_id::text AS supersedes_invoice_id,
    i.total_minor,
    coalesce(k.credited_minor, 0) AS credited_minor,
    i.currency,
    i.line_count,
    i.status,
    c.state AS charge_state,
    c.reason_code,
    c.reason,
    c.stripe_invoice_id,
    i.finalised_at,
    i.run_id
FROM billing.invoices AS i
INNER JOIN billing.customers AS cu USING (customer_id)
INNER JOIN billing.billing_periods AS p USING (period_id)
LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
LEFT JOIN billing.invoice_credits AS k USING (invoice_id)
WHERE
    (cast(:month AS date) IS NULL OR i.billing_month = :month)
    AND (cast(:customer_id AS text) IS NULL OR i.customer_id = :customer_id)
    AND (cast(:status AS text) IS NULL OR i.status = :status)
    AND (cast(:currency AS text) IS NULL OR i.currency = :currency)
    AND (cast(:final_only AS boolean) IS NOT TRUE OR i.status <> 'draft')
    AND (
        cast(:after_month AS date) IS NULL
        OR i.billing_month < :after_month
        OR (i.billing_month = :after_month AND (i.customer_id, i.revision) > (:after_customer_id, :after_revision))
    )
    AND (cast(:invoice_id AS uuid) IS NULL OR i.invoice_id = cast(:invoice_id AS uuid))
ORDER BY i.billing_month DESC, CASE WHEN :by_number THEN i.invoice_number END, i.customer_id, i.revision
LIMIT :row_limit
