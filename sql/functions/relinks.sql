-- Charges that go on at another customer at Stripe. A file of its own: it needs the table that charges.sql is needed for.

CREATE OR REPLACE FUNCTION billing.is_relinked(before billing.stripe_charges, after billing.stripe_charges) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT before.state = 'parked' AND after.state = 'intended' AND after.attempt > before.attempt
    AND after.stripe_invoice_id IS NULL
    AND EXISTS (
        SELECT FROM billing.charge_relinks AS r INNER JOIN billing.customers AS c
            ON r.to_stripe_customer_id = c.stripe_customer_id
        WHERE r.invoice_id = before.invoice_id AND r.attempt = after.attempt AND c.customer_id = before.customer_id
            AND r.from_stripe_customer_id = before.stripe_customer_id
            AND r.to_stripe_customer_id = after.stripe_customer_id
            AND r.from_stripe_invoice_id IS NOT DISTINCT FROM before.stripe_invoice_id
    )
$$;
COMMENT ON FUNCTION billing.is_relinked IS 'Whether a charge begins anew at another customer at Stripe, as a row of charge_relinks says: from parked, as another attempt, and without an invoice there';
