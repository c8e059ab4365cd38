-- Grain: the charge of an invoice id or of an invoice at Stripe, locked; and whether a charging run works on it.
SELECT
    c.invoice_id::text, c.customer_id, c.amount_minor, c.currency, c.state, c.attempt, c.stripe_customer_id,
    c.stripe_invoice_id, c.reason_code, cu.stripe_customer_id AS customer_at_stripe
FROM billing.stripe_charges AS c INNER JOIN billing.customers AS cu USING (customer_id)
WHERE c.invoice_id = cast(:invoice_id AS uuid) OR c.stripe_invoice_id = :stripe_invoice_id
ORDER BY c.stripe_invoice_id = :stripe_invoice_id DESC NULLS LAST
LIMIT 1
FOR UPDATE OF c
