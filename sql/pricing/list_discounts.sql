-- Grain: one row a coupon, in the order of the codes.
SELECT
    c.coupon,
    c.currency,
    trim_scale(c.amount) AS amount,
    trim_scale(c.percent) AS percent,
    c.meters,
    c.description,
    c.periods_max,
    c.redemptions,
    c.redemptions_max,
    c.redeem_until,
    c.author,
    c.created_at
FROM billing.coupons AS c
WHERE cast(:coupon AS text) IS NULL OR c.coupon = :coupon
ORDER BY c.coupon
