-- Grain: the charge of an invoice id or of an invoice at Stripe, locked; and whether its month is closed.
SELECT
    c.invoice_id::text, c.customer_id, c.amount_minor, c.currency, c.state, c.attempt, c.stripe_customer_id,
    c.stripe_invoice_id, c.bank_payment_id, billing.key_may_be_gone(c.attempt_began_at),
    c.reason_code, cu.stripe_customer_id AS customer_at_stripe,
    exists(
        SELECT FROM billing.month_books AS b WHERE b.billing_month = c.billing_month AND b.closed_at IS NOT NULL
    ) AS is_closed
FROM billing.stripe_charges AS c INNER JOIN billing.customers AS cu USING (customer_id)
WHERE c.invoice_id = cast(:invoice_id AS uuid) OR c.stripe_invoice_id = :stripe_invoice_id
ORDER BY c.stripe_invoice_id = :stripe_invoice_id DESC NULLS LAST
LIMIT 1
FOR UPDATE OF c
