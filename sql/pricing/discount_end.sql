-- Grain: one grant, whose term ends earlier.
UPDATE billing.terms AS t SET until_on = greatest(cast(:last_day AS date), t.effective_from - 1)
FROM billing.discount_grants AS g
WHERE g.term_id = t.term_id AND g.coupon = :coupon AND g.customer_id = :customer_id
    AND (t.until_on IS NULL OR t.until_on > :last_day)
