SELECT
    c.invoice_id::text AS invoice_id,
    i.number,
    i.status,
    c.customer_id,
    cu.name AS customer_name,
    c.billing_month,
    c.amount_minor,
    c.currency,
    c.state,
    c.attempt,
    c.reason_code,
    c.reason,
    c.outcome_unknown_since,
    c.stripe_customer_id,
    c.stripe_invoice_id,
    c.stripe_total_minor,
    c.stripe_currency,
    encode(c.request_sha256, 'hex') AS request_sha256,
    octet_length(c.request_body) AS request_bytes,
    c.created_at,
    c.updated_at,
    c.run_id
FROM billing.stripe_charges AS c
INNER JOIN billing.invoices AS i ON c.invoice_id = i.invoice_id
INNER JOIN billing.customers AS cu ON c.customer_id = cu.customer_id
WHERE c.invoice_id = cast(:invoice_id AS uuid)
