-- Grain: one customer whose details are other than given; its entry in the audit log with it.
WITH old AS (
    SELECT
        customer_id,
        address_line1,
        address_line2,
        postal_code,
        city,
        state,
        country,
        tax_id,
        language
    FROM billing.customers
    WHERE customer_id = :customer_id
    FOR UPDATE
),

changed AS (
    UPDATE billing.customers AS c
    SET
        address_line1 = :address_line1,
        address_line2 = :address_line2,
        postal_code = :postal_code,
        city = :city,
        state = :state,
        country = :country,
        tax_id = :tax_id,
        language = :language,
        imported_at = clock_timestamp()
    FROM old
    WHERE
        c.customer_id = old.customer_id
        AND (
            old.address_line1, old.address_line2, old.postal_code, old.city, old.state, old.country, old.tax_id,
            old.language
        ) IS DISTINCT FROM (
            :address_line1, :address_line2, :postal_code, :city, :state, :country, :tax_id, :language
        )
    RETURNING
        c.customer_id,
        to_jsonb(old) - 'customer_id' AS state_before,
        jsonb_build_object(
            'address_line1', c.address_line1, 'address_line2', c.address_line2, 'postal_code', c.postal_code,
            'city', c.city, 'state', c.state, 'country', c.country, 'tax_id', c.tax_id, 'language', c.language
        ) AS state_after
)

SELECT
    billing.log_action(:author, 'customer.change', 'customer', customer_id, :reason, state_before, state_after)
FROM changed
