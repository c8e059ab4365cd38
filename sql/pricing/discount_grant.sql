-- Grain: one grant of a coupon, and the term that it is.
WITH term AS (
    INSERT INTO billing.terms (
        term_id, kind, name, currency, effective_from, until_on, customer_id, meters, amount, percent, description, position
    )
    SELECT
        gen_random_uuid(), 'discount', c.coupon, c.currency, :from_on, :until_on, :customer_id, c.meters, c.amount, c.percent,
        c.description, (extract(EPOCH FROM clock_timestamp()) * 1000000)::bigint
    FROM billing.coupons AS c WHERE c.coupon = :coupon
    RETURNING term_id
)

INSERT INTO billing.discount_grants (term_id, coupon, customer_id, periods_max, author, reason)
SELECT t.term_id, c.coupon, :customer_id, c.periods_max, :author, :reason
FROM term AS t CROSS JOIN billing.coupons AS c WHERE c.coupon = :coupon
RETURNING term_id::text AS term_id
