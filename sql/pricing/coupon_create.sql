-- Grain: one coupon.
INSERT INTO billing.coupons (
    coupon, currency, amount, percent, meters, description, periods_max, redemptions_max, redeem_until, author, reason
) VALUES (
    :coupon, :currency, :amount, :percent, :meters, :description, :periods_max, :redemptions_max, :redeem_until, :author, :reason
)
