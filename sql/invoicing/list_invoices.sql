-- Grain: an invoice, drafts too. invoicing/reading.py adds which, in which order, and how many.
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
    i.supplement_no,
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
