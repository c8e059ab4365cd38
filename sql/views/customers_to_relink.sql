-- Grain: one row a customer whose customer at Stripe is deleted there, or not known to Stripe.
CREATE VIEW billing.customers_to_relink AS
SELECT
    c.customer_id,
    c.name AS customer_name,
    c.stripe_customer_id,
    coalesce(s.status = 'deleted', FALSE) AS is_deleted,
    (
        SELECT count(*)
        FROM billing.stripe_charges AS w
        WHERE w.customer_id = c.customer_id AND w.state NOT IN ('paid', 'void', 'uncollectible')
    ) AS unfinished_charges
FROM billing.customers AS c
LEFT JOIN billing.stripe_customers AS s USING (stripe_customer_id)
WHERE
    s.status = 'deleted'
    OR EXISTS (
        SELECT 1
        FROM billing.stripe_charges AS p
        WHERE
            p.customer_id = c.customer_id AND p.stripe_customer_id = c.stripe_customer_id
            AND p.state = 'parked' AND p.reason_code = 'customer_missing'
    );

COMMENT ON VIEW billing.customers_to_relink IS 'One row a customer whose customer at Stripe is gone: nothing can be charged to it until somebody gives it another one';
COMMENT ON COLUMN billing.customers_to_relink.customer_id IS 'The customer';
COMMENT ON COLUMN billing.customers_to_relink.customer_name IS 'Name on the invoice';
COMMENT ON COLUMN billing.customers_to_relink.stripe_customer_id IS 'The customer at Stripe that is gone';
COMMENT ON COLUMN billing.customers_to_relink.is_deleted IS 'Whether Stripe says that it was deleted; false: Stripe has never had it under our key';
COMMENT ON COLUMN billing.customers_to_relink.unfinished_charges IS 'Charges of the customer that are not at their end';
