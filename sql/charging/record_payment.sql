-- Grain: one payment of an invoice at Stripe. An older look than the one that is here changes nothing final.
INSERT INTO billing.stripe_payments AS t (
    payment_id, invoice_id, stripe_invoice_id, payment_intent_id, requested_minor, paid_minor, currency, status,
    created_at, paid_at
)
VALUES (
    :payment_id, :invoice_id, :stripe_invoice_id, :payment_intent_id, :requested_minor, :paid_minor, :currency, :status,
    :created_at, :paid_at
)
ON CONFLICT (payment_id) DO UPDATE
    SET
        invoice_id = excluded.invoice_id,
        stripe_invoice_id = excluded.stripe_invoice_id,
        payment_intent_id = excluded.payment_intent_id,
        requested_minor = excluded.requested_minor,
        paid_minor = excluded.paid_minor,
        currency = excluded.currency,
        status = excluded.status,
        created_at = excluded.created_at,
        paid_at = excluded.paid_at
    WHERE
    NOT (t.status IN ('paid', 'canceled') AND excluded.status = 'open')
    AND (
        t.invoice_id, t.stripe_invoice_id, t.payment_intent_id, t.requested_minor, t.paid_minor, t.currency, t.status,
        t.created_at, t.paid_at
    ) IS DISTINCT FROM (
        excluded.invoice_id, excluded.stripe_invoice_id, excluded.payment_intent_id, excluded.requested_minor,
        excluded.paid_minor, excluded.currency, excluded.status, excluded.created_at, excluded.paid_at
    )
