-- Grain: a rate or tier that holds today for :customer_id: of the newest version in force; of one meter the customer's own
-- prices instead of the plan's, and the plan's instead of everybody's.
SELECT
    meter,
    dimensions,
    model,
    p.plan,
    trim_scale(tier_from) AS tier_from,
    trim_scale(tier_up_to) AS tier_up_to,
    trim_scale(unit_amount) AS unit_amount,
    trim_scale(flat_amount) AS flat_amount,
    trim_scale(included) AS included,
    pool,
    trim_scale(minimum) AS minimum,
    trim_scale(maximum) AS maximum,
    description
FROM billing.in_force_today(:customer_id, :currency) AS f
CROSS JOIN billing.nearest_prices(:customer_id, f.plan, :currency, f.version_id) AS n
INNER JOIN billing.prices AS p ON n.price_id = p.price_id
ORDER BY position, dimensions::text, tier_no
