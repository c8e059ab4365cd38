-- Tells of cards that invoices are charged to and that expire soon. Grain: one row a card; another date is told anew.
SELECT
    billing.write_notice(
        'payment_method_expiring', m.customer_id, NULL, m.payment_method_id || ':' || m.expires_on,
        jsonb_build_object('method', billing.payment_method_name(m), 'expires_on', m.expires_on)
    )
FROM billing.stripe_customers AS s
INNER JOIN billing.stripe_payment_methods AS m ON s.default_payment_method_id = m.payment_method_id
INNER JOIN billing.customers AS c ON m.customer_id = c.customer_id AND s.stripe_customer_id = c.stripe_customer_id
WHERE
    m.status = 'attached' AND c.status <> 'inactive'
    AND m.expires_on - cast(:now AT TIME ZONE c.timezone AS date) BETWEEN 0 AND :days
    AND NOT EXISTS (
        SELECT FROM billing.notices AS n
        WHERE n.customer_id = m.customer_id
            AND n.fact = 'payment_method_expiring:' || m.payment_method_id || ':' || m.expires_on
    )
