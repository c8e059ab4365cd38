-- Grain: one parked charge, still in :attempt, that begins anew at its customer's customer at Stripe.
UPDATE billing.stripe_charges AS c
SET
    state = 'intended',
    attempt = r.attempt,
    stripe_customer_id = r.to_stripe_customer_id,
    stripe_invoice_id = NULL,
    stripe_total_minor = NULL,
    stripe_currency = NULL,
    reason_code = NULL,
    reason = NULL,
    outcome_unknown_since = NULL,
    bank_payment_id = NULL
FROM billing.charge_relinks AS r
WHERE
    c.invoice_id = cast(:invoice_id AS uuid) AND c.state = 'parked' AND c.attempt = :attempt
    AND r.invoice_id = c.invoice_id AND r.attempt = c.attempt + 1
