-- Grain: the charge of an invoice at Stripe, with what each of its payments there has brought.
SELECT
    c.invoice_id::text, c.customer_id, c.amount_minor, c.currency, c.state, c.attempt, c.stripe_customer_id,
    c.stripe_invoice_id, c.bank_payment_id, c.updated_at,
    coalesce((
        SELECT jsonb_object_agg(p.payment_id, p.paid_minor)
        FROM billing.stripe_payments AS p
        WHERE p.invoice_id = c.invoice_id AND p.stripe_invoice_id = c.stripe_invoice_id
    ), '{}') AS payments
FROM billing.stripe_charges AS c
WHERE c.stripe_invoice_id = :stripe_invoice_id
